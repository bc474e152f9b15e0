// `brim serve PATH`: the composition root of the server.
#pragma once

#include <string>
#include <vector>

namespace brim::apps {

// Runs until SIGTERM or SIGINT; returns the process's exit code: 0 drained, 1 could not start, 2
// wrong arguments, 3 stopped with requests unanswered.
int Serve(const std::vector<std::string>& arguments);

}  // namespace brim::apps
