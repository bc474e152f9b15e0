// The table of allocations against std::multimap over random sequences, and the start of a process.
#include "vgpu/shim/allocations.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "vgpu/shim/start_ticks.h"

namespace brim::vgpu {
namespace {

Allocation Make(std::uint64_t key, Kind kind, std::uint64_t bytes, std::uint64_t context = 0) {
  Allocation allocation;
  allocation.key = key;
  allocation.bytes = bytes;
  allocation.kind = kind;
  allocation.context = context;
  return allocation;
}

// Keys that share a home slot (the hash is multiplicative: find them by trying), so that clusters
// are long, and some at the end of the table, so that they wrap round.
std::vector<std::uint64_t> CollidingKeys() {
  std::vector<std::uint64_t> keys;
  for (std::uint64_t key = 1; keys.size() < 60; ++key) {
    const std::uint64_t slot = key * 0x9e3779b97f4a7c15 >> 44;
    if (slot >= Allocations::kEntries - 4 || slot < 2) keys.push_back(key);
  }
  return keys;
}

TEST(AllocationsTest, AsAMapOverRandomSequences) {
  const std::vector<std::uint64_t> keys = CollidingKeys();
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    printf("seed %llu\n", static_cast<unsigned long long>(seed));
    std::mt19937_64 random(seed);
    Allocations table;
    std::map<std::pair<std::uint64_t, int>, std::uint64_t> truth;
    for (int i = 0; i < 200'000; ++i) {
      const std::uint64_t key = keys[random() % keys.size()];
      const Kind kind = random() % 2 == 0 ? Kind::kPointer : Kind::kHandle;
      const auto at = std::make_pair(key, static_cast<int>(kind));
      if (random() % 2 == 0 && truth.count(at) == 0) {
        const std::uint64_t bytes = random();
        ASSERT_TRUE(table.Add(Make(key, kind, bytes)));
        truth[at] = bytes;
      } else {
        const Allocation taken = table.Take(key, kind);
        const auto found = truth.find(at);
        ASSERT_EQ(taken.kind, found == truth.end() ? Kind::kFree : kind) << i;
        if (found == truth.end()) continue;
        ASSERT_EQ(taken.bytes, found->second);
        ASSERT_EQ(taken.key, key);
        truth.erase(found);
      }
    }
    for (const auto& [at, bytes] : truth) {
      ASSERT_EQ(table.Take(at.first, static_cast<Kind>(at.second)).bytes, bytes);
    }
  }
}

TEST(AllocationsTest, ReferencesAndTheLastOne) {
  Allocations table;
  EXPECT_EQ(table.Refer(1, Kind::kHandle, 1).kind, Kind::kFree);
  ASSERT_TRUE(table.Add(Make(1, Kind::kHandle, 7)));
  EXPECT_EQ(table.Refer(1, Kind::kHandle, 1).references, 2u);
  EXPECT_EQ(table.Refer(1, Kind::kHandle, 0).references, 2u);
  EXPECT_EQ(table.Refer(1, Kind::kHandle, -1).references, 1u);
  const Allocation last = table.Refer(1, Kind::kHandle, -1);
  EXPECT_EQ(last.references, 0u);
  EXPECT_EQ(last.bytes, 7u);
  EXPECT_EQ(last.kind, Kind::kHandle);
  EXPECT_EQ(table.Refer(1, Kind::kHandle, -1).kind, Kind::kFree);
  ASSERT_TRUE(table.Add(Make(1, Kind::kHandle, 7)));
  EXPECT_EQ(table.Refer(1, Kind::kHandle, -5).references, 0u);
  EXPECT_EQ(table.Take(1, Kind::kHandle).kind, Kind::kFree);
}

TEST(AllocationsTest, GrowAddsToTheOneThatIsThere) {
  Allocations table;
  ASSERT_TRUE(table.Grow(Make(5, Kind::kGraph, 10)));
  ASSERT_TRUE(table.Grow(Make(5, Kind::kGraph, 30)));
  ASSERT_TRUE(table.Grow(Make(5, Kind::kCapture, 1)));
  EXPECT_EQ(table.Take(5, Kind::kGraph).bytes, 40u);
  EXPECT_EQ(table.Take(5, Kind::kGraph).kind, Kind::kFree);
  EXPECT_EQ(table.Take(5, Kind::kCapture).bytes, 1u);
}

TEST(AllocationsTest, ByContextAndByRange) {
  Allocations table;
  for (std::uint64_t key = 1; key <= 5000; ++key) {
    const Kind kinds[] = {Kind::kPointer, Kind::kArray, Kind::kModule, Kind::kHandle};
    ASSERT_TRUE(table.Add(Make(key, kinds[key % 4], 1, 100 + key % 3)));
  }
  std::uint64_t at = 0;
  int taken = 0;
  for (Allocation gone = table.TakeOf(101, &at); gone.kind != Kind::kFree;
       gone = table.TakeOf(101, &at)) {
    EXPECT_EQ(gone.context, 101u);
    ++taken;
  }
  at = 0;
  EXPECT_EQ(table.TakeOf(101, &at).kind, Kind::kFree) << "one pass found them all";
  // 5000 keys, a third in that context, of which a quarter are handles and stay.
  EXPECT_EQ(taken, 1250);
  int handles = 0;
  while (table.TakeWithin(1000, 1000, Kind::kHandle).kind != Kind::kFree) ++handles;
  EXPECT_EQ(handles, 250);
  table.AfterFork();
  EXPECT_EQ(table.Take(1, Kind::kArray).kind, Kind::kFree);
}

TEST(AllocationsTest, AFullTableRefusesAndStillFinds) {
  Allocations table;
  std::uint64_t added = 0;
  while (table.Add(Make(added + 1, Kind::kPointer, added))) ++added;
  EXPECT_EQ(added, Allocations::kEntries - Allocations::kEntries / 8);
  EXPECT_EQ(table.Take(added + 1, Kind::kPointer).kind, Kind::kFree);
  EXPECT_EQ(table.Take(1, Kind::kPointer).bytes, 0u);
  EXPECT_EQ(table.Take(added, Kind::kPointer).bytes, added - 1);
  EXPECT_TRUE(table.Add(Make(added + 1, Kind::kPointer, 1)));
}

TEST(StartTicksTest, TheNameMayHoldAnything) {
  const std::string rest = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654321 20 21\n";
  EXPECT_EQ(StartTicksIn(("7 (cat)" + rest).c_str()), 987654321u);
  EXPECT_EQ(StartTicksIn(("7 (a b) c) (d)" + rest).c_str()), 987654321u);
  EXPECT_EQ(StartTicksIn(("7 (\n) 1 2)" + rest).c_str()), 987654321u);
  EXPECT_EQ(StartTicksIn(""), 0u);
  EXPECT_EQ(StartTicksIn("7 (cat"), 0u);
  EXPECT_EQ(StartTicksIn("7 (cat)"), 0u);
  EXPECT_EQ(StartTicksIn("7 (cat) S 1 2 3"), 0u);
}

}  // namespace
}  // namespace brim::vgpu
