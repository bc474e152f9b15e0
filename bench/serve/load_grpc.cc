// gRPC half of the load generator's connections, on nghttp2.
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "load_connection.h"

namespace brim::bench {
namespace {

nghttp2_nv Header(std::string_view name, std::string_view value) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

struct Stream {
  std::string_view left;  // Of the request's frame.
  Answer answer;
  bool http_ok = false;
  bool grpc_ok = false;
};

class GrpcConnection final : public Connection {
 public:
  GrpcConnection(int fd, std::size_t streams_max, AnswerSink* sink)
      : fd_(fd), streams_max_(streams_max), sink_(sink) {
    nghttp2_session_callbacks* callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnClose);
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 16 << 20},
                                               {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 1 << 20}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, 64 << 20);
    input_.resize(256 << 10);
  }
  ~GrpcConnection() override {
    nghttp2_session_del(session_);
    close(fd_);
  }
  GrpcConnection(const GrpcConnection&) = delete;
  GrpcConnection& operator=(const GrpcConnection&) = delete;

  int fd() const override { return fd_; }
  bool HasRoom() const override { return open_ < streams_max_; }
  void Send(std::uint64_t request, const std::string& bytes) override {
    auto stream = std::make_unique<Stream>();
    stream->left = bytes;
    stream->answer.request = request;
    const nghttp2_nv headers[] = {Header(":method", "POST"),
                                  Header(":scheme", "http"),
                                  Header(":path", "/inference.GRPCInferenceService/ModelInfer"),
                                  Header(":authority", "localhost"),
                                  Header("content-type", "application/grpc"),
                                  Header("te", "trailers")};
    nghttp2_data_provider provider{};
    provider.source.ptr = stream.get();
    provider.read_callback = ReadRequest;
    if (nghttp2_submit_request(session_, nullptr, headers, 6, &provider, stream.get()) > 0) {
      static_cast<void>(stream.release());  // OnClose deletes it.
      ++open_;
    }
  }
  bool OnReadable() override {
    const ssize_t count = recv(fd_, input_.data(), input_.size(), 0);
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    return nghttp2_session_mem_recv(session_, input_.data(), static_cast<std::size_t>(count)) >= 0;
  }
  bool Flush() override {
    const std::uint8_t* bytes;
    while (out_.size() < (4u << 20)) {
      const ssize_t count = nghttp2_session_mem_send(session_, &bytes);
      if (count < 0) return false;
      if (count == 0) break;
      out_.insert(out_.end(), bytes, bytes + count);
    }
    while (sent_ < out_.size()) {
      const ssize_t count = send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
      if (count < 0) return errno == EAGAIN;
      sent_ += static_cast<std::size_t>(count);
    }
    out_.clear();
    sent_ = 0;
    return true;
  }
  bool WantsWrite() const override {
    return sent_ < out_.size() || nghttp2_session_want_write(session_) != 0;
  }

 private:
  static Stream* Get(nghttp2_session* session, std::int32_t id) {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }
  static ssize_t ReadRequest(nghttp2_session*, std::int32_t, std::uint8_t* to, std::size_t size,
                             std::uint32_t* flags, nghttp2_data_source* source, void*) {
    auto* stream = static_cast<Stream*>(source->ptr);
    const std::size_t count = std::min(size, stream->left.size());
    std::memcpy(to, stream->left.data(), count);
    stream->left.remove_prefix(count);
    if (stream->left.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(count);
  }
  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame,
                      const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                      std::size_t value_size, std::uint8_t, void*) {
    Stream* stream = Get(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    const std::string_view key(reinterpret_cast<const char*>(name), name_size);
    const std::string_view text(reinterpret_cast<const char*>(value), value_size);
    if (key == ":status") stream->http_ok = text == "200";
    if (key == "grpc-status") stream->grpc_ok = text == "0";
    if ((key == ":status" && !stream->http_ok) || (key == "grpc-status" && !stream->grpc_ok) ||
        key == "grpc-message") {
      stream->answer.error += std::string(key) + " " + std::string(text) + " ";
    }
    return 0;
  }
  static int OnData(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t*,
                    std::size_t size, void*) {
    if (Stream* stream = Get(session, id)) stream->answer.bytes += size;
    return 0;
  }
  static int OnClose(nghttp2_session* session, std::int32_t id, std::uint32_t code, void* user) {
    const std::unique_ptr<Stream> stream(Get(session, id));
    if (stream == nullptr) return 0;
    auto* self = static_cast<GrpcConnection*>(user);
    --self->open_;
    stream->answer.ok = code == NGHTTP2_NO_ERROR && stream->http_ok && stream->grpc_ok;
    if (code != NGHTTP2_NO_ERROR) stream->answer.error += nghttp2_http2_strerror(code);
    self->sink_->OnAnswer(stream->answer);
    return 0;
  }

  const int fd_;
  const std::size_t streams_max_;
  AnswerSink* const sink_;
  nghttp2_session* session_ = nullptr;
  std::size_t open_ = 0;
  std::vector<std::uint8_t> input_, out_;
  std::size_t sent_ = 0;
};

}  // namespace

std::unique_ptr<Connection> MakeGrpcConnection(int fd, std::size_t streams_max, AnswerSink* sink) {
  return std::make_unique<GrpcConnection>(fd, streams_max, sink);
}

}  // namespace brim::bench
