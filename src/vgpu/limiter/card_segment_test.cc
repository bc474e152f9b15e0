// A card's table and segment that hold anything: checked to the byte, and with noise behind a good
// head every question has an answer and nothing is touched outside.
#include "vgpu/abi/card_segment.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <random>

#include "vgpu/limiter/arbiter.h"

namespace brim::vgpu {
namespace {

// A T that ends where the next access faults.
template <typename T>
class Edge {
 public:
  Edge() {
    base_ = static_cast<char*>(
        mmap(nullptr, kWhole, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    EXPECT_NE(base_, MAP_FAILED);
    mprotect(base_ + kWhole - kPage, kPage, PROT_NONE);
  }
  ~Edge() { munmap(base_, kWhole); }
  Edge(const Edge&) = delete;
  Edge& operator=(const Edge&) = delete;
  char* at() { return base_ + kWhole - kPage - sizeof(T); }
  T* get() { return reinterpret_cast<T*>(at()); }
  void Fill(std::mt19937_64* random) {
    for (std::size_t i = 0; i + 4 <= sizeof(T); i += 4) {
      const auto value = static_cast<std::uint32_t>((*random)());
      memcpy(at() + i, &value, 4);
    }
  }

 private:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kWhole = (sizeof(T) + kPage - 1) / kPage * kPage + kPage;
  char* base_;
};

void Head(CardTable* table, CardSegment* card) {
  table->magic = kTableMagic;
  table->version = kSegmentVersion;
  table->bytes = sizeof(CardTable);
  card->magic = kCardMagic;
  card->version = kSegmentVersion;
  card->rows = kSlicesPerCard;
  card->bytes = sizeof(CardSegment);
}

TEST(CardSegmentTest, EveryWrongByteOfAHeadIsFound) {
  Edge<CardTable> table;
  Edge<CardSegment> card;
  Head(table.get(), card.get());
  ASSERT_EQ(CheckTable(table.get(), sizeof(CardTable)), SegmentFault::kNone);
  ASSERT_EQ(CheckCard(card.get(), sizeof(CardSegment)), SegmentFault::kNone);
  EXPECT_EQ(CheckTable(table.get(), sizeof(CardTable) - 1), SegmentFault::kTruncated);
  EXPECT_EQ(CheckCard(card.get(), sizeof(CardSegment) - 1), SegmentFault::kTruncated);
  EXPECT_EQ(CheckTable(nullptr, 0), SegmentFault::kTruncated);
  EXPECT_EQ(CheckCard(nullptr, 0), SegmentFault::kTruncated);
  table.get()->version = card.get()->version = kSegmentVersion + 1;
  for (const std::size_t bytes : {std::size_t{12}, sizeof(CardTable) - 1, sizeof(CardTable)}) {
    EXPECT_EQ(CheckTable(table.get(), bytes), SegmentFault::kOtherVersion);
    EXPECT_EQ(CheckCard(card.get(), bytes), SegmentFault::kOtherVersion);
  }
  EXPECT_EQ(CheckTable(table.get(), 11), SegmentFault::kTruncated);
  EXPECT_EQ(CheckCard(card.get(), 11), SegmentFault::kTruncated);
  table.get()->version = card.get()->version = kSegmentVersion;
  for (std::size_t at = 0; at < 24; ++at) {
    for (int value = 1; value < 256; ++value) {
      const auto flip = static_cast<char>(value);
      card.at()[at] ^= flip;
      EXPECT_NE(CheckCard(card.get(), sizeof(CardSegment)), SegmentFault::kNone);
      card.at()[at] ^= flip;
      if (at >= 16) continue;
      table.at()[at] ^= flip;
      EXPECT_NE(CheckTable(table.get(), sizeof(CardTable)), SegmentFault::kNone);
      table.at()[at] ^= flip;
    }
  }
}

TEST(CardSegmentTest, NoiseBehindAGoodHeadEndsInNoCrash) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    Edge<CardTable> table;
    Edge<CardSegment> card;
    table.Fill(&random);
    card.Fill(&random);
    Head(table.get(), card.get());
    if (seed % 2 == 0) {
      for (TableRow& row : table.get()->row) {
        row.cores = static_cast<std::uint32_t>(random() % 101);
        row.share = static_cast<Share>(random() % 2);
        row.priority = static_cast<Priority>(random() % 2);
      }
    }
    Arbiter arbiter;
    arbiter.Attach(table.get(), card.get(), static_cast<std::uint32_t>(random() % kSlicesPerCard));
    for (int i = 0; i < 50; ++i) {
      const auto now = static_cast<Ns>(random() >> 5);
      arbiter.Ask(static_cast<Ns>(random() % 1'000'000'000), now);
      arbiter.Contended(now);
      arbiter.Measured(static_cast<Ns>(random() % 1'000'000),
                       static_cast<Ns>(random() % 1'000'000));
    }
  }
}

}  // namespace
}  // namespace brim::vgpu
