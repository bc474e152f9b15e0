// Fuzzes an HTTP/1.1 session: the first byte says in which pieces the rest arrives and when the
// handler answers. Requests must lead to the same answers as in one piece, and nothing may be left
// charged.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "io/http1_test_client.h"

namespace brim::io {
namespace {

HttpReply Describe(HttpCall& call) {
  std::string text(call.method());
  text.append(" ").append(call.path()).append("?").append(call.query()).append(" ");
  text.append(std::to_string(call.body().size())).append(" ").append(call.Header("host"));
  // Reads all of the body and its padding under the sanitizer.
  unsigned sum = 0;
  for (std::size_t i = 0; i < call.body().size() + ByteBuffer::kPadding; ++i) {
    const unsigned byte = std::to_integer<unsigned>(call.body().data()[i]);
    if (i < call.body().size()) sum = sum * 31 + byte;
  }
  text.append(" ").append(std::to_string(sum));
  HttpReply reply;
  reply.content_type = "text/plain";
  reply.body = ByteBuffer(text);
  return reply;
}

ServerOptions Options() {
  ServerOptions options;
  options.header_bytes_max = 2048;
  options.body_bytes_max = 200000;
  return options;
}

struct Outcome {
  std::string answers;  // Without the refusal and the invitations to go on.
  bool refused = false;
};

Outcome ToOutcome(std::string sent, bool refused) {
  if (refused) sent.resize(sent.rfind("HTTP/1.1 "));
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  for (std::size_t at = sent.find(kContinue); at != std::string::npos; at = sent.find(kContinue)) {
    sent.erase(at, kContinue.size());
  }
  return {std::move(sent), refused};
}

// Which of several faults is found first, and how much blank space passes, may
// depend on the pieces.
bool Agree(const Outcome& a, const Outcome& b) {
  if (!a.refused && !b.refused) return a.answers == b.answers;
  if (!a.refused) return a.answers.starts_with(b.answers);
  if (!b.refused) return b.answers.starts_with(a.answers);
  return a.answers.starts_with(b.answers) || b.answers.starts_with(a.answers);
}

Outcome Run(std::string_view bytes, std::size_t piece, bool late) {
  FakeHttp1Handler handler;
  if (!late) handler.answer = Describe;
  FakeHttp1Host host(Options(), handler);
  host.receive_max = piece;
  const auto answer_all = [&] {
    while (!handler.waiting.empty()) {
      HttpCall* call = handler.waiting.back();
      handler.waiting.pop_back();
      call->Reply(Describe(*call));
      host.Pump();
    }
  };
  while (!bytes.empty()) {
    const std::size_t taken = host.Receive(bytes);
    bytes.remove_prefix(taken);
    if (bytes.empty()) break;
    BRIM_CHECK(!handler.waiting.empty());  // Only calls in flight may hold up the reading.
    answer_all();
  }
  if (late && handler.requests % 2 == 1) {
    host.session.reset();  // The client has gone; the answers come after it.
    while (!handler.waiting.empty()) {
      handler.waiting.back()->Reply(HttpReply());
      handler.waiting.pop_back();
    }
    host.loop().RunReady();
  } else {
    answer_all();
  }
  const bool refused = host.state.protocol_errors.load() > 0 && !late;
  host.session.reset();
  BRIM_CHECK(host.state.calls_now.load() == 0);
  BRIM_CHECK(host.state.body_bytes_now.load() == 0);
  return ToOutcome(host.TakeSent(), refused);
}

}  // namespace
}  // namespace brim::io

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = 1 + data[0] % 64;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = brim::io::Run(bytes, 64u << 10, false);
  BRIM_CHECK(brim::io::Agree(brim::io::Run(bytes, piece, false), whole));
  brim::io::Run(bytes, piece, true);
  return 0;
}
