// ShapeCheck: says whether a combination of input shapes can flow through a model, before OpenVINO
// runs it.
//
// A dynamic graph whose run fails half way keeps the shapes of the part that ran: its later answers
// are wrong, or the process dies. So a shape that a model cannot take must never reach it.
// OpenVINO's shape inference on a copy of the model, its weights left out, answers that once per
// combination; the answer is remembered.
//
// Threads: any; a check of an unknown combination (1-20 ms) holds up others that are unknown.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "openvino/core/model.hpp"

namespace brim::runtimes {

// For each input in turn its rank and its dimensions.
using ShapeKey = std::vector<std::int64_t>;

class ShapeCheck {
 public:
  explicit ShapeCheck(const ov::Model& model);  // Keeps nothing of it but small constants.
  ~ShapeCheck();
  ShapeCheck(const ShapeCheck&) = delete;
  ShapeCheck& operator=(const ShapeCheck&) = delete;

  // False: why is OpenVINO's reason.
  bool Accepts(const ShapeKey& key, std::string* why);

 private:
  void LeaveOutWeights();
  void ShareConstants();  // REQUIRES: LeaveOutWeights.

  std::mutex mutex_;
  std::shared_ptr<ov::Model> model_;  // The weightless copy, never reshaped.
  // A copy of that, reshaped again and again; null after a failure, and until combinations turn out
  // to be many.
  std::shared_ptr<ov::Model> probe_;
  std::size_t probed_ = 0;  // Combinations that were accepted, as far as they decide that.
  void* zeros_ = nullptr;   // What left-out weights point at: never-touched pages.
  std::size_t zeros_bytes_ = 0;
  std::set<ShapeKey> good_;              // At most kGoodMax, then forgotten.
  std::map<ShapeKey, std::string> bad_;  // At most kBadMax, then forgotten.
};

}  // namespace brim::runtimes
