// How much memory each slice of a card may hold now: what it is guaranteed, and what it may borrow
// of what the others leave.
//
// A slice with a soft limit below its hard one borrows the difference from the card's memory that
// nobody is guaranteed. What is lent can be taken back only as far as it is not in use, so a lender
// never lends what is guaranteed to somebody else.
//
// Pure. The agent lowers limits first, looks again at what is held, and only then raises others:
// a process that reserved in between keeps what it has.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace brim::vgpu {

struct Borrower {
  std::uint64_t soft = 0;  // Guaranteed.
  std::uint64_t hard = 0;  // At most.
  std::uint64_t now = 0;   // Its limit at present: soft plus what is lent.
  std::uint64_t held = 0;
  std::uint64_t wanted = 0;  // Refused for lack of a loan since the last look.
};

// The new `now` of each. ENSURES: soft <= now <= hard unless held > hard; the sum of max(now, held)
// is at most `memory`, unless it was more before; nobody's falls below what it holds.
std::vector<std::uint64_t> Lend(std::span<const Borrower> slices, std::uint64_t memory);

}  // namespace brim::vgpu
