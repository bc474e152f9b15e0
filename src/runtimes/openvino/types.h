// OpenVINO's element types and error texts in our words. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "openvino/core/type/element_type.hpp"

namespace brim::runtimes {

std::int32_t FromElementType(const ov::element::Type& type);  // BRIM_INVALID when there is none.

// The sentence of an exception's text that a person can use: without source lines, failed
// conditions and links.
std::string Cleaned(std::string_view what);

}  // namespace brim::runtimes
