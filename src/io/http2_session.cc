// nghttp2's callbacks and what they do to streams; see http2_session.h.
#include "io/http2_session.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <utility>

#include "io/grpc_stream.h"
#include "io/http2_http_stream.h"

namespace brim::io {
namespace {

// A peer starts with patience for 1000 cheap frames and regains 200 a second, and 8 with each
// answer it lets us give. A reset costs 4: so one that only opens and resets streams is gone after
// 250, while a client that cancels every second call is never noticed.
constexpr double kPatienceMax = 1000;
constexpr double kPatiencePerSecond = 200;
constexpr double kPatiencePerAnswer = 8;
constexpr double kControlFrameCost = 1;
constexpr double kResetCost = 4;

constexpr std::size_t kSpareMax = 64;           // StreamMemory kept per connection,
constexpr std::size_t kSpareHeadersMax = 4096;  // each with no more than this for headers.
constexpr std::size_t kConsumeStep = 1u << 20;  // Windows are opened in steps of this.
constexpr std::uint64_t kHeaderOverhead = 32;   // Per field: RFC 9113, section 6.5.2.
constexpr std::uint64_t kHeaderExcessMax = 16;  // Times the bound: then it is an attack.
constexpr auto kDrainNoticeWait = std::chrono::seconds(1);

std::string_view View(const std::uint8_t* bytes, std::size_t n) {
  return {reinterpret_cast<const char*>(bytes), n};
}

nghttp2_nv Field(std::string_view name, std::string_view value, std::uint8_t flags) {
  // nghttp2 does not write through these pointers.
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), flags};
}

// nghttp2's own allocations, from the loop's pool.
nghttp2_mem PooledMemory(BlockPool& pool) {
  nghttp2_mem memory{};
  memory.mem_user_data = &pool;
  memory.malloc = [](std::size_t bytes, void* user) {
    return static_cast<BlockPool*>(user)->Take(bytes);
  };
  memory.free = [](void* block, void*) { BlockPool::Give(block); };
  memory.calloc = [](std::size_t count, std::size_t bytes, void* user) -> void* {
    std::size_t all = 0;
    if (__builtin_mul_overflow(count, bytes, &all)) return nullptr;
    void* const block = static_cast<BlockPool*>(user)->Take(all);
    return block == nullptr ? nullptr : std::memset(block, 0, all);
  };
  memory.realloc = [](void* block, std::size_t bytes, void* user) {
    return static_cast<BlockPool*>(user)->Resize(block, bytes);
  };
  return memory;
}

}  // namespace

nghttp2_nv StaticField(std::string_view name, std::string_view value) {
  return Field(name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
}

nghttp2_nv CopiedField(std::string_view name, std::string_view value) {
  return Field(name, value, NGHTTP2_NV_FLAG_NO_INDEX);
}

// nghttp2's C callbacks, each handing on to the session.
struct Http2Callbacks {
  static Http2Session& Of(void* user_data) { return *static_cast<Http2Session*>(user_data); }

  static int BeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Of(user_data).OnBeginHeaders(frame->headers.cat == NGHTTP2_HCAT_REQUEST);
    return 0;
  }
  static int Header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name,
                    std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                    std::uint8_t, void* user_data) {
    Of(user_data).OnHeader(View(name, name_size), View(value, value_size));
    return 0;
  }
  static int FrameReceived(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Of(user_data).OnFrame(*frame);
    return 0;
  }
  static int InvalidFrame(nghttp2_session*, const nghttp2_frame*, int, void* user_data) {
    Http2Session& session = Of(user_data);
    session.in_headers_ = false;
    session.shared_.protocol_errors.fetch_add(1, std::memory_order_relaxed);
    return 0;
  }
  static int Data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                  std::size_t n, void* user_data) {
    Of(user_data).OnData(id, std::as_bytes(std::span(data, n)));
    return 0;
  }
  static int StreamClosed(nghttp2_session*, std::int32_t id, std::uint32_t, void* user_data) {
    Of(user_data).OnStreamClose(id);
    return 0;
  }
  static ssize_t ReadLength(nghttp2_session*, std::uint8_t, std::int32_t,
                            std::int32_t connection_window, std::int32_t stream_window,
                            std::uint32_t frame_max, void*) {
    const auto window = std::min(connection_window, stream_window);
    return std::min<ssize_t>(window,
                             std::min<std::uint32_t>(frame_max, Http2Session::kFrameSentMax));
  }
  static ssize_t Read(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t max,
                      std::uint32_t* flags, nghttp2_data_source* source, void* user_data) {
    return Of(user_data).OnRead(static_cast<Http2Stream*>(source->ptr), max, flags);
  }
  static int SendData(nghttp2_session*, nghttp2_frame*, const std::uint8_t* frame_head,
                      std::size_t n, nghttp2_data_source* source, void* user_data) {
    return Of(user_data).OnSendData(static_cast<Http2Stream*>(source->ptr), frame_head, n);
  }
  static int FrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Of(user_data).OnFrameSent(*frame);
    return 0;
  }
  static int FrameNotSent(nghttp2_session*, const nghttp2_frame* frame, int, void* user_data) {
    // An answer's head that is too large to send: the client must not wait for it.
    Http2Session& session = Of(user_data);
    const std::int32_t id = frame->hd.stream_id;
    if (frame->hd.type == NGHTTP2_HEADERS && session.Find(id) != nullptr) {
      session.Reset(id, NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
  }

  static nghttp2_session_callbacks* New() {
    nghttp2_session_callbacks* table = nullptr;
    BRIM_CHECK(nghttp2_session_callbacks_new(&table) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(table, BeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(table, Header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(table, FrameReceived);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(table, InvalidFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, Data);
    nghttp2_session_callbacks_set_on_stream_close_callback(table, StreamClosed);
    nghttp2_session_callbacks_set_data_source_read_length_callback(table, ReadLength);
    nghttp2_session_callbacks_set_send_data_callback(table, SendData);
    nghttp2_session_callbacks_set_on_frame_send_callback(table, FrameSent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(table, FrameNotSent);
    return table;
  }
};

Http2Session::Http2Session(SessionHost& host)
    : host_(host),
      shared_(host.shared()),
      patience_(kPatienceMax),
      patience_at_(host.loop().Now()) {
  nghttp2_option* option = nullptr;
  BRIM_CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  // Charge() is the stricter and kinder bound; nghttp2's own is left as a second line.
  nghttp2_option_set_stream_reset_rate_limit(option, 10000, 1000);
  nghttp2_session_callbacks* callbacks = Http2Callbacks::New();
  nghttp2_mem memory = PooledMemory(host.loop().pool());
  BRIM_CHECK(nghttp2_session_server_new3(&ng_, callbacks, this, option, &memory) == 0);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_option_del(option);

  const ServerOptions& options = host.shared().options;
  const std::array<nghttp2_settings_entry, 5> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.streams_max},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kFrameMax},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options.header_bytes_max},
      // Spares us the tree of priorities, which no client of ours uses (RFC 9218).
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  BRIM_CHECK(nghttp2_submit_settings(ng_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) ==
             0);
  BRIM_CHECK(nghttp2_session_set_local_window_size(ng_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow) ==
             0);
  WantWrite();
}

Http2Session::~Http2Session() {
  while (live_ != nullptr) {
    Http2Stream* stream = live_;
    Unlink(stream);
    stream->OnClosed();
  }
  nghttp2_session_del(ng_);
}

void Http2Session::WantWrite() {
  if (!receiving_ && out_ == nullptr) host_.WantWrite();
}

// Receiving.

void Http2Session::OnReceive(std::span<const std::byte> bytes) {
  if (broken_) return;
  receiving_ = true;
  const ssize_t n = nghttp2_session_mem_recv(
      ng_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  receiving_ = false;
  if (n < 0) return Break();
  if (connection_unconsumed_ >= kConsumeStep) {
    nghttp2_session_consume_connection(ng_, std::exchange(connection_unconsumed_, 0));
  }
  if (nghttp2_session_want_write(ng_) != 0 || Finished()) WantWrite();
}

void Http2Session::OnBeginHeaders(bool request) {
  in_headers_ = true;
  headers_begun_ = host_.loop().Now();
  block_is_request_ = request;
  block_.Clear();
  block_bytes_ = 0;
}

void Http2Session::OnHeader(std::string_view name, std::string_view value) {
  block_bytes_ += name.size() + value.size() + kHeaderOverhead;
  const std::uint64_t max = shared_.options.header_bytes_max;
  if (block_bytes_ > max) {
    if (block_bytes_ > max * kHeaderExcessMax)
      nghttp2_session_terminate_session(ng_, NGHTTP2_ENHANCE_YOUR_CALM);
    return;
  }
  if (block_is_request_) block_.Add(name, value);
}

void Http2Session::OnFrame(const nghttp2_frame& frame) {
  const bool end_stream = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
      in_headers_ = false;
      if (frame.headers.cat == NGHTTP2_HCAT_REQUEST) NewStream(frame.hd.stream_id);
      if (end_stream) EndStream(Find(frame.hd.stream_id));
      return;
    case NGHTTP2_DATA:
      if (end_stream) {
        EndStream(Find(frame.hd.stream_id));
      } else if (frame.hd.length == 0) {
        Charge(kControlFrameCost);
      }
      return;
    case NGHTTP2_RST_STREAM:
      return Charge(kResetCost);
    case NGHTTP2_PING:
      if (drain_ == Drain::kNoticed && (frame.hd.flags & NGHTTP2_FLAG_ACK) != 0) FinishDrain();
      return Charge(kControlFrameCost);
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PRIORITY:
      return Charge(kControlFrameCost);
    case NGHTTP2_GOAWAY:
      return OnGoaway(frame.goaway);
    default:
      return;
  }
}

void Http2Session::NewStream(std::int32_t id) {
  shared_.requests.fetch_add(1, std::memory_order_relaxed);
  StreamMemory memory;
  if (!spare_.empty()) {
    memory = std::move(spare_.back());
    spare_.pop_back();
  }
  std::swap(memory.headers, block_);
  memory.headers.Add(":peer", host_.peer());  // Outlives the connection, as the call may.
  const Http2Stream::Source source{this, &host_.loop(), &shared_, id,
                                   block_bytes_ > shared_.options.header_bytes_max};
  Http2Stream* stream = nullptr;
  if (memory.headers.Get(HeaderBlock::kContentType).substr(0, 16) == "application/grpc") {
    stream = new (host_.loop().pool()) GrpcStream(source, std::move(memory));
  } else {
    stream = new Http2HttpStream(source, std::move(memory));
  }
  nghttp2_session_set_stream_user_data(ng_, id, stream);
  stream->next_ = live_;
  if (live_ != nullptr) live_->previous_ = stream;
  live_ = stream;
  ++live_count_;
  stream->Start();
}

void Http2Session::OnData(std::int32_t id, std::span<const std::byte> bytes) {
  connection_unconsumed_ += bytes.size();
  if (Http2Stream* stream = Find(id)) stream->OnData(bytes);
}

void Http2Session::EndStream(Http2Stream* stream) {
  if (stream == nullptr) return;
  stream->ended_ = true;
  stream->OnEndStream();
}

void Http2Session::OnStreamClose(std::int32_t id) {
  in_headers_ = false;
  Http2Stream* stream = Find(id);
  if (stream == nullptr) return;
  Unlink(stream);
  stream->OnClosed();
}

void Http2Session::OnGoaway(const nghttp2_goaway& goaway) {
  // A clean GOAWAY only says that no server push is wanted; calls in flight are still awaited.
  if (goaway.error_code == NGHTTP2_NO_ERROR) return;
  for (Http2Stream* stream = live_; stream != nullptr; stream = stream->next_) {
    Reset(stream->id_, NGHTTP2_CANCEL);
  }
}

bool Http2Session::MidRequest() const {
  if (in_headers_) return true;
  for (const Http2Stream* stream = live_; stream != nullptr; stream = stream->next_) {
    if (stream->AwaitsClient()) return true;
  }
  return false;
}

Http2Stream* Http2Session::Find(std::int32_t id) const {
  if (found_id_ != id || found_ == nullptr) {
    found_ = static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(ng_, id));
    found_id_ = id;
  }
  return found_;
}

void Http2Session::Unlink(Http2Stream* stream) {
  (stream->previous_ != nullptr ? stream->previous_->next_ : live_) = stream->next_;
  if (stream->next_ != nullptr) stream->next_->previous_ = stream->previous_;
  stream->previous_ = stream->next_ = nullptr;
  --live_count_;
  if (found_ == stream) found_ = nullptr;
}

void Http2Session::Charge(double cost) {
  const Time now = host_.loop().Now();
  patience_ += std::chrono::duration<double>(now - patience_at_).count() * kPatiencePerSecond;
  patience_at_ = now;
  patience_ = std::min(patience_, kPatienceMax) - cost;
  if (patience_ >= 0) return;
  patience_ = 0;
  shared_.protocol_errors.fetch_add(1, std::memory_order_relaxed);
  nghttp2_session_terminate_session(ng_, NGHTTP2_ENHANCE_YOUR_CALM);
}

void Http2Session::Break() {
  broken_ = true;
  shared_.protocol_errors.fetch_add(1, std::memory_order_relaxed);
  host_.WantWrite();
}

// Sending.

void Http2Session::Collect(Output* out) {
  out_ = out;
  while (!broken_ && !out->AboveHighWater()) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t n = nghttp2_session_mem_send(ng_, &bytes);
    if (n < 0) Break();
    if (n <= 0) break;
    out->Append(View(bytes, static_cast<std::size_t>(n)));
  }
  out_ = nullptr;
}

ssize_t Http2Session::OnRead(Http2Stream* stream, std::size_t max, std::uint32_t* flags) {
  std::size_t length = 0;
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  switch (stream->PullData(max, &length)) {
    case Http2Stream::Pull::kWait:
      return NGHTTP2_ERR_DEFERRED;
    case Http2Stream::Pull::kMore:
      break;
    case Http2Stream::Pull::kLast:
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      break;
    case Http2Stream::Pull::kTrailers:
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      break;
  }
  return static_cast<ssize_t>(length);
}

int Http2Session::OnSendData(Http2Stream* stream, const std::uint8_t* frame_head, std::size_t n) {
  out_->Append(View(frame_head, 9));  // We never ask for padding.
  if (n != 0) stream->Send(n, out_);
  return out_->AboveHighWater() ? NGHTTP2_ERR_PAUSE : 0;
}

void Http2Session::OnFrameSent(const nghttp2_frame& frame) {
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) return;
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return;
  patience_ += kPatiencePerAnswer;
  const Http2Stream* stream = Find(frame.hd.stream_id);
  // Answered before the request was whole: the rest is not wanted (RFC 9113, section 8.1).
  if (stream != nullptr && !stream->ended_) Reset(frame.hd.stream_id, NGHTTP2_NO_ERROR);
}

bool Http2Session::Finished() const {
  return broken_ || (nghttp2_session_want_read(ng_) == 0 && nghttp2_session_want_write(ng_) == 0);
}

void Http2Session::SubmitHead(Http2Stream* stream, std::span<const nghttp2_nv> fields,
                              bool has_data) {
  nghttp2_data_provider provider;
  provider.source.ptr = stream;
  provider.read_callback = Http2Callbacks::Read;
  if (nghttp2_submit_response(ng_, stream->id_, fields.data(), fields.size(),
                              has_data ? &provider : nullptr) != 0) {
    Reset(stream->id_, NGHTTP2_INTERNAL_ERROR);
  }
  WantWrite();
}

void Http2Session::SubmitTrailers(std::int32_t id, std::span<const nghttp2_nv> fields) {
  if (nghttp2_submit_trailer(ng_, id, fields.data(), fields.size()) != 0)
    Reset(id, NGHTTP2_INTERNAL_ERROR);
}

void Http2Session::Resume(std::int32_t id) {
  nghttp2_session_resume_data(ng_, id);
  WantWrite();
}

void Http2Session::ConsumeStream(std::int32_t id, std::size_t n) {
  nghttp2_session_consume_stream(ng_, id, n);
  WantWrite();
}

void Http2Session::Reset(std::int32_t id, std::uint32_t error_code) {
  nghttp2_submit_rst_stream(ng_, NGHTTP2_FLAG_NONE, id, error_code);
  WantWrite();
}

void Http2Session::Recycle(StreamMemory memory) {
  if (spare_.size() >= kSpareMax || memory.headers.capacity() > kSpareHeadersMax) return;
  memory.headers.Clear();
  spare_.push_back(std::move(memory));
}

// Draining: a GOAWAY that promises to take all streams under way, a PING, and when its answer shows
// that the client has seen both, the GOAWAY that names the last stream taken (RFC 9113, section
// 6.8).

void Http2Session::StartDrain() {
  if (drain_ != Drain::kNo || broken_) return;
  drain_ = Drain::kNoticed;
  nghttp2_submit_shutdown_notice(ng_);
  nghttp2_submit_ping(ng_, NGHTTP2_FLAG_NONE, nullptr);
  host_.loop().SetTimer(this, host_.loop().Now() + kDrainNoticeWait);
  WantWrite();
}

void Http2Session::OnTimer() { FinishDrain(); }

void Http2Session::FinishDrain() {
  if (drain_ != Drain::kNoticed || broken_) return;
  drain_ = Drain::kDone;
  host_.loop().CancelTimer(this);
  nghttp2_submit_goaway(ng_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(ng_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
  WantWrite();
}

// Streams, the part that all share.

Http2Stream::~Http2Stream() {
  // Last and with release: a server waits for zero before it destroys what the call used.
  if (handed_over_) shared_.calls_now.fetch_sub(1, std::memory_order_release);
}

void Http2Stream::HandOver() {
  handed_over_ = true;
  shared_.calls_now.fetch_add(1, std::memory_order_relaxed);
}

void Http2Stream::Consumed(std::size_t n) {
  unconsumed_ += n;
  if (unconsumed_ < kConsumeStep || session_ == nullptr || ended_) return;
  session_->ConsumeStream(id_, std::exchange(unconsumed_, 0));
}

std::unique_ptr<Session> NewHttp2Session(SessionHost& host) {
  return std::make_unique<Http2Session>(host);
}

}  // namespace brim::io
