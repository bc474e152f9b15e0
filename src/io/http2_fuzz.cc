// Bytes behind the preface into an HTTP/2 session whose handlers echo, fail or hold. The first byte
// chooses how the input is cut into reads.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "io/http2_test_client.h"

namespace {

using brim::ByteBuffer;
using brim::Duration;
using brim::OkStatus;
using brim::io::GrpcCall;
using brim::io::HttpCall;
using brim::io::HttpReply;
using brim::io::TestWorld;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  TestWorld world;
  world.options.body_bytes_max = 64u << 10;
  world.options.in_flight_bytes_max = 256u << 10;
  const std::size_t step = data[0] == 0 ? size : data[0];
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  world.connection->Receive(std::string_view(NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN));
  while (!input.empty() && !world.connection->session->Finished()) {
    const std::string_view piece = input.substr(0, step);
    input.remove_prefix(piece.size());
    world.connection->Receive(piece);
    world.loop.RunReady();
    world.connection->Collect();
    if (data[0] % 2 != 0 && !world.handlers.held.empty()) {
      world.handlers.held.back()->Reply(ByteBuffer("held"));
      world.handlers.held.pop_back();
    }
    world.clock.Advance(std::chrono::milliseconds(1));
  }
  world.connection.reset();
  for (GrpcCall* call : world.handlers.held) call->Finish(OkStatus(), Duration::zero());
  for (HttpCall* call : world.handlers.held_http) call->Reply(HttpReply());
  return 0;
}
