// NearestName: what somebody may have meant who typed an unknown name. Pure; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace brim::planner {

// The known name with the fewest edits (insert, delete, replace, swap of neighbours), if that is at
// most a third of the longer name's letters; empty if none is that near. Letter case is free.
std::string_view NearestName(std::string_view typed, std::span<const std::string_view> known);

// ": did you mean 'x'?" or an empty text.
std::string DidYouMean(std::string_view typed, std::span<const std::string_view> known);

}  // namespace brim::planner
