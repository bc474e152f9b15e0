// Comparator: the least gRPC server on epoll and nghttp2 that answers KServe's ModelInfer with its
// own input.
//
// Usage: echo_nghttp2 PORT. Walks the request by hand, copies name, type and shape, and sends the
// tensor's bytes from where they were received. Two loops, see two_loops.h.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "two_loops.h"

namespace brim::bench {
namespace {

constexpr std::int32_t kStreamWindow = 16 << 20;
constexpr std::int32_t kConnectionWindow = 64 << 20;

// A tag or length; 0 at the end of the message, which is never a valid tag.
std::uint64_t ReadVarint(const std::uint8_t** at, const std::uint8_t* end) {
  std::uint64_t value = 0;
  for (int shift = 0; *at < end && shift < 64; shift += 7) {
    const std::uint8_t byte = *(*at)++;
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return value;
}

void AddVarint(std::string* out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

void AddField(std::string* out, int number, std::string_view bytes) {
  AddVarint(out, static_cast<std::uint64_t>(number) << 3 | 2);
  AddVarint(out, bytes.size());
  out->append(bytes);
}

// The tensor's declaration under its output name; `in` is an InferInputTensor.
std::string OutputTensor(std::string_view in) {
  std::string out;
  AddField(&out, 1, "OUTPUT0");
  const auto* at = reinterpret_cast<const std::uint8_t*>(in.data());
  const auto* end = at + in.size();
  while (const std::uint64_t tag = ReadVarint(&at, end)) {
    if ((tag & 7) == 0) {
      const std::uint64_t value = ReadVarint(&at, end);
      AddVarint(&out, tag);
      AddVarint(&out, value);
      continue;
    }
    const std::uint64_t size = std::min<std::uint64_t>(ReadVarint(&at, end), end - at);
    if (tag == (2 << 3 | 2) || tag == (3 << 3 | 2)) {
      AddField(&out, static_cast<int>(tag >> 3), {reinterpret_cast<const char*>(at), size});
    }
    at += size;
  }
  return out;
}

struct Stream {
  std::vector<std::uint8_t> body;  // The request: prefix and message.
  std::string head;                // The answer up to the tensor's bytes.
  std::span<const std::uint8_t> tensor;
  std::size_t sent = 0;  // Of head and tensor together.

  void Answer() {
    std::string message;
    const std::uint8_t* at = body.data() + std::min<std::size_t>(5, body.size());
    const std::uint8_t* end = body.data() + body.size();
    while (const std::uint64_t tag = ReadVarint(&at, end)) {
      const std::uint64_t size = std::min<std::uint64_t>(ReadVarint(&at, end), end - at);
      const std::string_view bytes(reinterpret_cast<const char*>(at), size);
      if (tag == (1 << 3 | 2)) AddField(&message, 1, bytes);
      if (tag == (3 << 3 | 2)) AddField(&message, 3, bytes);
      if (tag == (5 << 3 | 2)) AddField(&message, 5, OutputTensor(bytes));
      if (tag == (7 << 3 | 2)) tensor = {at, size};
      at += size;
    }
    AddVarint(&message, 6 << 3 | 2);
    AddVarint(&message, tensor.size());
    const std::size_t length = message.size() + tensor.size();
    head.push_back(0);
    for (int shift = 24; shift >= 0; shift -= 8) head.push_back(static_cast<char>(length >> shift));
    head += message;
  }
};

nghttp2_nv Header(std::string_view name, std::string_view value) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

class Http2Connection {
 public:
  explicit Http2Connection(int fd) : fd_(fd) {
    nghttp2_session_callbacks* callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, OnBegin);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnClose);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, SendData);
    nghttp2_session_server_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 256},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 1 << 20}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 3);
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
    input_.resize(256 << 10);
  }
  ~Http2Connection() { nghttp2_session_del(session_); }
  Http2Connection(const Http2Connection&) = delete;
  Http2Connection& operator=(const Http2Connection&) = delete;

  bool OnReadable() {
    const ssize_t count = recv(fd_, input_.data(), input_.size(), 0);
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    if (nghttp2_session_mem_recv(session_, input_.data(), static_cast<std::size_t>(count)) < 0) {
      return false;
    }
    return OnWritable();
  }
  bool OnWritable() {
    const std::uint8_t* bytes;
    while (out_.bytes().size() < (4u << 20)) {
      const ssize_t count = nghttp2_session_mem_send(session_, &bytes);
      if (count < 0) return false;
      if (count == 0) break;
      out_.bytes().insert(out_.bytes().end(), bytes, bytes + count);
    }
    return out_.Flush(fd_);
  }
  bool WantsWrite() const { return !out_.empty() || nghttp2_session_want_write(session_) != 0; }

 private:
  static Http2Connection* Self(void* user) { return static_cast<Http2Connection*>(user); }
  static Stream* Get(nghttp2_session* session, std::int32_t id) {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }
  static int OnBegin(nghttp2_session* session, const nghttp2_frame* frame, void*) {
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, new Stream);
    return 0;
  }
  static int OnData(nghttp2_session* session, std::uint8_t, std::int32_t id,
                    const std::uint8_t* data, std::size_t size, void*) {
    Stream* stream = Get(session, id);
    std::vector<std::uint8_t>& body = stream->body;
    if (body.empty() && size >= 5) {
      body.reserve(
          5 + (static_cast<std::size_t>(data[1]) << 24 | data[2] << 16 | data[3] << 8 | data[4]));
    }
    body.insert(body.end(), data, data + size);
    return 0;
  }
  static int OnFrame(nghttp2_session* session, const nghttp2_frame* frame, void*) {
    const bool request = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (!request || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    Stream* stream = Get(session, frame->hd.stream_id);
    stream->Answer();
    const nghttp2_nv headers[] = {Header(":status", "200"),
                                  Header("content-type", "application/grpc")};
    nghttp2_data_provider provider{};
    provider.source.ptr = stream;
    provider.read_callback = ReadAnswer;
    return nghttp2_submit_response(session, frame->hd.stream_id, headers, 2, &provider);
  }
  static ssize_t ReadAnswer(nghttp2_session* session, std::int32_t id, std::uint8_t*,
                            std::size_t size, std::uint32_t* flags, nghttp2_data_source* source,
                            void*) {
    auto* stream = static_cast<Stream*>(source->ptr);
    const std::size_t left = stream->head.size() + stream->tensor.size() - stream->sent;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (left <= size) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const nghttp2_nv trailer = Header("grpc-status", "0");
      nghttp2_submit_trailer(session, id, &trailer, 1);
    }
    return static_cast<ssize_t>(std::min(left, size));
  }
  static int SendData(nghttp2_session*, nghttp2_frame*, const std::uint8_t* frame_head,
                      std::size_t size, nghttp2_data_source* source, void* user) {
    auto* stream = static_cast<Stream*>(source->ptr);
    std::vector<std::uint8_t>& out = Self(user)->out_.bytes();
    out.insert(out.end(), frame_head, frame_head + 9);
    if (stream->sent < stream->head.size()) {
      const std::size_t part = std::min(size, stream->head.size() - stream->sent);
      const char* from = stream->head.data() + stream->sent;
      out.insert(out.end(), from, from + part);
      stream->sent += part;
      size -= part;
    }
    const std::uint8_t* from = stream->tensor.data() + (stream->sent - stream->head.size());
    out.insert(out.end(), from, from + size);
    stream->sent += size;
    return 0;
  }
  static int OnClose(nghttp2_session* session, std::int32_t id, std::uint32_t, void*) {
    delete Get(session, id);
    return 0;
  }

  int fd_;
  nghttp2_session* session_ = nullptr;
  std::vector<std::uint8_t> input_;
  Outbox out_;
};

}  // namespace
}  // namespace brim::bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: echo_nghttp2 PORT\n", stderr);
    return 2;
  }
  using brim::bench::Http2Connection;
  return brim::bench::ServeTwoLoops<Http2Connection>(static_cast<std::uint16_t>(atoi(argv[1])));
}
