// gRPC half of the load generator's connections, on nghttp2.
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
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

// Where among HTTP/2's frames the bytes received so far end (RFC 9113, section 4.1).
class FrameWalk {
 public:
  // REQUIRES: n bytes as they came, all of them.
  void Pass(const std::uint8_t* bytes, std::size_t n) {
    while (n > 0) {
      const std::size_t skipped = std::min(n, left_);
      left_ -= skipped;
      bytes += skipped;
      n -= skipped;
      if (n == 0) return;
      head_[head_size_++] = *bytes++;
      --n;
      if (head_size_ < head_.size()) continue;
      head_size_ = 0;
      left_ = (std::size_t{head_[0]} << 16) | (std::size_t{head_[1]} << 8) | head_[2];
      is_plain_data_ = head_[3] == NGHTTP2_DATA && (head_[4] & NGHTTP2_FLAG_PADDED) == 0;
    }
  }
  // n bytes of a DATA frame's payload that nobody looked at. REQUIRES: n <= data_left().
  void Skip(std::size_t n) { left_ -= n; }
  // Bytes to come that are nothing but a DATA frame's payload.
  std::size_t data_left() const { return is_plain_data_ ? left_ : 0; }

 private:
  std::array<std::uint8_t, 9> head_{};
  std::size_t head_size_ = 0;
  std::size_t left_ = 0;  // Of the frame's payload.
  bool is_plain_data_ = false;
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
                                               {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kFrameMax}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, 64 << 20);
    input_.resize(kReadBytes);
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
    return walk_.data_left() > 0 && low_water_ > 1 ? SkipData() : ReadFrames();
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
  static constexpr std::size_t kFrameMax = 1 << 20;
  static constexpr std::size_t kReadBytes = 256 << 10;
  // A payload of which so much is still to come is not looked at.
  static constexpr std::size_t kSkippedMin = 64 << 10;
  // What is read at once where such payloads come: their head and little more.
  static constexpr std::size_t kHeadBytes = 16 << 10;
  // nghttp2 counts a payload's bytes and hands on where they are, no more.
  static constexpr std::array<std::uint8_t, kFrameMax> kUnseen{};

  bool ReadFrames() {
    const ssize_t count = recv(fd_, input_.data(), skips_ ? kHeadBytes : kReadBytes, 0);
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    walk_.Pass(input_.data(), static_cast<std::size_t>(count));
    return Feed(input_.data(), count);
  }
  // TCP drops the bytes without copying them; they are counted as always.
  bool SkipData() {
    skips_ = true;
    const ssize_t count = recv(fd_, nullptr, walk_.data_left(), MSG_TRUNC);
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    walk_.Skip(static_cast<std::size_t>(count));
    return Feed(kUnseen.data(), count);
  }
  bool Feed(const std::uint8_t* bytes, ssize_t count) {
    if (nghttp2_session_mem_recv(session_, bytes, static_cast<std::size_t>(count)) < 0)
      return false;
    // Sleeps until the rest of a large frame is there, for it is sure to come.
    const std::size_t left = walk_.data_left();
    const int wanted = left >= kSkippedMin ? static_cast<int>(left) : 1;
    if (wanted == low_water_) return true;
    low_water_ = wanted;
    return setsockopt(fd_, SOL_SOCKET, SO_RCVLOWAT, &wanted, sizeof wanted) == 0;
  }

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
  FrameWalk walk_;
  int low_water_ = 1;  // SO_RCVLOWAT.
  bool skips_ = false;
};

}  // namespace

std::unique_ptr<Connection> MakeGrpcConnection(int fd, std::size_t streams_max, AnswerSink* sink) {
  return std::make_unique<GrpcConnection>(fd, streams_max, sink);
}

}  // namespace brim::bench
