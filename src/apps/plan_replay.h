// The two levels of `brim plan replay`: pods over nodes, requests over cards. One thread.
#pragma once

#include <string>
#include <vector>

#include "apps/plan.h"
#include "base/status.h"
#include "planner/replay/model_replay.h"
#include "planner/replay/pod_replay.h"

namespace brim::apps {

struct ReplayFlags {
  PlanFlags plan;
  // Pods.
  std::string nodes, pods;
  std::vector<std::string> policies;
  std::string ties = "index";
  planner::PodReplayOptions pod;
  // Requests.
  std::string requests, loads;
  std::vector<std::int32_t> cards = {4};
  std::vector<std::string> evictions = {"lru", "cost"};
  bool no_base = false;
  planner::ModelReplayOptions model;
};

Status ReplayPodStream(const ReplayFlags& flags, planner::Report* report, std::string* svg);
Status ReplayRequestStream(const ReplayFlags& flags, planner::Report* report, std::string* svg);

}  // namespace brim::apps
