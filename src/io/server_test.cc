// The server over loopback: real sockets, a clock that only the tests move.
#include "io/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace brim::io {
namespace {

using namespace std::chrono_literals;

class SharedClock final : public Clock {  // Moves when told to; any thread.
 public:
  Time Now() const override { return Time(std::chrono::nanoseconds(now_.load())); }
  std::chrono::system_clock::time_point WallNow() const override { return {}; }
  Duration ThreadCpu() const override { return Duration::zero(); }
  void Advance(Duration by) { now_.fetch_add(by.count()); }

 private:
  std::atomic<std::int64_t> now_{std::chrono::nanoseconds(std::chrono::hours(1)).count()};
};

HttpReply Text(std::string_view body) {
  HttpReply reply;
  reply.content_type = "text/plain";
  reply.body = ByteBuffer(body);
  return reply;
}

// "/echo" answers the body, "/wait" is kept until the test answers it, any other its path.
class Handler final : public HttpHandler {
 public:
  void OnRequest(HttpCall& call) override {
    if (call.path() == "/echo") {
      HttpReply reply;
      reply.content_type = "application/octet-stream";
      reply.body.Append(call.body());
      call.Reply(std::move(reply));
    } else if (call.path() == "/wait") {
      MutexLock lock(mutex_);
      waiting_.push_back(&call);
      changed_.NotifyAll();
    } else {
      call.Reply(Text(call.path()));
    }
  }
  HttpCall* Take() {  // Blocks until a "/wait" has come; null after Stop.
    MutexLock lock(mutex_);
    while (waiting_.empty() && !stopped_) changed_.Wait(mutex_);
    if (waiting_.empty()) return nullptr;
    HttpCall* call = waiting_.back();
    waiting_.pop_back();
    return call;
  }
  void Stop() {
    MutexLock lock(mutex_);
    stopped_ = true;
    changed_.NotifyAll();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool stopped_ BRIM_GUARDED_BY(mutex_) = false;
  std::vector<HttpCall*> waiting_ BRIM_GUARDED_BY(mutex_);
};

class Client {  // A blocking socket.
 public:
  explicit Client(std::uint16_t port) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    timeval patience{20, 0};  // So that a fault fails the test instead of hanging it.
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~Client() { Close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  void Reset() {  // Closes with RST.
    linger hard{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    Close();
  }
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  std::string Read(std::size_t n) {  // Exactly n bytes, or what came before the end.
    std::string text;
    while (text.size() < n) {
      char buffer[65536];
      const ssize_t got = recv(fd_, buffer, std::min(sizeof buffer, n - text.size()), 0);
      if (got <= 0) break;
      text.append(buffer, static_cast<std::size_t>(got));
    }
    return text;
  }
  std::string ReadAnswer() {  // Head and body by content-length.
    std::string text;
    while (text.find("\r\n\r\n") == std::string::npos) {
      const std::string more = Read(1);
      if (more.empty()) return text;
      text += more;
    }
    const std::size_t at = text.find("content-length: ");
    if (at == std::string::npos) return text;
    return text + Read(std::stoul(text.substr(at + 16)));
  }
  // True when the server has closed: end of file or reset, not our patience.
  bool AtEnd() {
    char byte;
    const ssize_t n = recv(fd_, &byte, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
  }
  std::string Get(const std::string& path) {
    Send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string answer = ReadAnswer();
    const std::size_t body = answer.find("\r\n\r\n");
    return body == std::string::npos ? answer : answer.substr(body + 4);
  }

 private:
  int fd_ = -1;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() { options.listen = {{"127.0.0.1", 0}}; }
  ~ServerTest() override { server.reset(); }

  void Start() {
    server = std::make_unique<Server>(options, clock, logger, ServerHandlers{&handler, nullptr});
    const Status status = server->Start();
    ASSERT_TRUE(status.ok()) << status.ToString();
    port = server->ports().at(0);
  }
  // Waits for another thread's doing, a fault being a failure and not a hang.
  bool Eventually(const std::function<bool()>& is) {
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (!is()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }

  SharedClock clock;
  Logger logger{2, LogLevel::kOff, LogFormat::kText, clock};
  ServerOptions options;
  Handler handler;
  std::unique_ptr<Server> server;
  std::uint16_t port = 0;
};

TEST_F(ServerTest, AnswersOverLoopbackOnEveryLoop) {
  options.loops = 3;
  Start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 9; ++i) clients.push_back(std::make_unique<Client>(port));
  for (int round = 0; round < 3; ++round) {
    for (const auto& client : clients) EXPECT_EQ(client->Get("/a"), "/a");
  }
  const ServerStats stats = server->stats();
  EXPECT_EQ(stats.connections_accepted, 9u);
  EXPECT_EQ(stats.connections_now, 9u);
  EXPECT_EQ(stats.requests, 27u);
  EXPECT_EQ(stats.calls_now, 0u);
  EXPECT_EQ(stats.bytes_read, 27 * std::string_view("GET /a HTTP/1.1\r\nHost: h\r\n\r\n").size());
  clients.clear();
  EXPECT_TRUE(Eventually([&] { return server->stats().connections_now == 0; }));
}

TEST_F(ServerTest, LargeBodiesBothWays) {
  Start();
  std::string body(20 << 20, 'x');
  for (std::size_t i = 0; i < body.size(); i += 1000) body[i] = static_cast<char>(i >> 10);
  Client client(port);
  std::thread sender([&] {
    client.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\n\r\n" + body);
  });
  const std::string answer = client.ReadAnswer();
  sender.join();
  EXPECT_TRUE(std::string_view(answer).ends_with(body));
}

TEST_F(ServerTest, SlowReaderHoldsOnlyItself) {
  Start();
  Client slow(port);
  const std::string body(4 << 20, 'x');
  // More answers than the socket and the high-water mark hold; none is read yet.
  std::thread sender([&] {
    for (int i = 0; i < 8; ++i) {
      slow.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\n\r\n" + body);
    }
  });
  Client quick(port);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(quick.Get("/q"), "/q");
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(slow.ReadAnswer().ends_with(body));
  sender.join();
}

TEST_F(ServerTest, PrefaceIsHeldBackUntilItTells) {
  Start();
  Client client(port);
  for (const char c : std::string_view("PUT /p HTTP/1.1\r\nHost: h\r\n\r\n")) client.Send({&c, 1});
  EXPECT_TRUE(client.ReadAnswer().ends_with("/p"));
}

TEST_F(ServerTest, ConnectionsAreBounded) {
  options.connections_max = 2;
  Start();
  Client a(port);
  Client b(port);
  EXPECT_EQ(a.Get("/a"), "/a");
  EXPECT_EQ(b.Get("/b"), "/b");
  Client c(port);
  EXPECT_TRUE(c.AtEnd());
  EXPECT_EQ(server->stats().connections_refused, 1u);
  a.Close();
  EXPECT_TRUE(Eventually([&] { return server->stats().connections_now == 1; }));
  Client d(port);
  EXPECT_EQ(d.Get("/d"), "/d");
}

TEST_F(ServerTest, RefusedRequestIsAnsweredBeforeTheEnd) {
  options.body_bytes_max = 1000;
  Start();
  Client client(port);
  client.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
  client.Send(std::string(3000000, 'x'));  // A client that writes all before it reads.
  EXPECT_TRUE(client.ReadAnswer().starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(client.AtEnd());
  EXPECT_EQ(server->stats().protocol_errors, 1u);
}

TEST_F(ServerTest, ConnectionCloseEnds) {
  Start();
  Client client(port);
  client.Send("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.ReadAnswer().ends_with("/a"));
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(ServerTest, VanishedClientCancelsItsCall) {
  Start();
  for (const bool reset : {false, true}) {
    Client client(port);
    client.Send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    HttpCall* call = handler.Take();
    EXPECT_FALSE(call->cancelled().load());
    reset ? client.Reset() : client.Close();
    EXPECT_TRUE(Eventually([&] { return call->cancelled().load(); }));
    EXPECT_EQ(server->stats().calls_now, 1u);
    call->Reply(Text("nobody hears this"));
    EXPECT_TRUE(Eventually([&] { return server->stats().calls_now == 0; }));
  }
}

TEST_F(ServerTest, IdleAndStalledConnectionsAreClosed) {
  options.idle_timeout = 100s;
  options.read_timeout = 10s;
  Start();
  Client idle(port);
  Client stalled(port);
  Client waiting(port);
  Client pulse(port);
  EXPECT_EQ(idle.Get("/a"), "/a");
  EXPECT_EQ(stalled.Get("/a"), "/a");
  stalled.Send("GET /b HT");
  waiting.Send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  HttpCall* call = handler.Take();
  EXPECT_EQ(pulse.Get("/a"), "/a");
  // The clock moves only here, so the loop has to be woken to see it.
  clock.Advance(11s);
  EXPECT_EQ(pulse.Get("/a"), "/a");
  EXPECT_TRUE(stalled.AtEnd());
  EXPECT_EQ(idle.Get("/a"), "/a");
  EXPECT_EQ(server->stats().connections_now, 3u);
  clock.Advance(101s);
  // The pulse itself was idle for as long: its request may come before or after the timer.
  Client last(port);
  EXPECT_EQ(last.Get("/a"), "/a");
  EXPECT_TRUE(idle.AtEnd());
  EXPECT_FALSE(call->cancelled().load());  // A call in flight is never idle.
  call->Reply(Text("done"));
  EXPECT_TRUE(waiting.ReadAnswer().ends_with("done"));
}

// Each byte is progress, the head is never whole.
TEST_F(ServerTest, AHeadThatComesByteByByteIsClosed) {
  options.read_timeout = 10s;
  Start();
  Client slow(port);
  Client body(port);
  Client pulse(port);
  slow.Send("GET /b HTTP/1.1\r\nX: ");
  body.Send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(pulse.Get("/a"), "/a");
    clock.Advance(4s);
    slow.Send("x");
    body.Send("x");
  }
  EXPECT_EQ(pulse.Get("/a"), "/a");
  EXPECT_TRUE(slow.AtEnd());
  EXPECT_EQ(pulse.Get("/a"), "/a");
  EXPECT_EQ(server->stats().connections_now, 2u);  // A body may be slow as long as it comes.
}

TEST_F(ServerTest, DrainWaitsForCallsAndClosesTheRest) {
  Start();
  Client idle(port);
  EXPECT_EQ(idle.Get("/a"), "/a");
  Client busy(port);
  busy.Send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  HttpCall* call = handler.Take();
  std::thread answer([&] {
    EXPECT_TRUE(idle.AtEnd());  // Closed while the other call is still in flight.
    call->Reply(Text("done"));
  });
  EXPECT_TRUE(server->Drain(20s));
  answer.join();
  const std::string got = busy.ReadAnswer();
  EXPECT_NE(got.find("connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(got.ends_with("done"));
  EXPECT_EQ(server->stats().connections_now, 0u);
  EXPECT_TRUE(server->Drain(0ms));
}

TEST_F(ServerTest, DrainWithoutPatienceOrphansCallsAndTheirRepliesAreSafe) {
  Start();
  Client busy(port);
  busy.Send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  HttpCall* call = handler.Take();
  EXPECT_FALSE(server->Drain(0ms));
  EXPECT_TRUE(busy.AtEnd());
  EXPECT_TRUE(call->cancelled().load());
  std::atomic<bool> destroyed{false};
  std::thread destroyer([&] {
    server.reset();  // Waits for the reply below.
    destroyed.store(true);
  });
  EXPECT_FALSE(destroyed.load());
  call->Reply(Text("late"));
  destroyer.join();
}

TEST_F(ServerTest, NewConnectionsAreNotTakenAfterDrain) {
  Start();
  EXPECT_TRUE(server->Drain(1s));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_NE(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(fd);
}

TEST_F(ServerTest, TakenPortSaysWhatToDo) {
  Start();
  ServerOptions second = options;
  second.listen = {{"127.0.0.1", port}};
  Server other(second, clock, logger, {&handler, nullptr});
  const Status status = other.Start();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_NE(status.message().find("127.0.0.1:" + std::to_string(port)), std::string::npos);
  EXPECT_NE(status.message().find("another port"), std::string::npos);
}

TEST_F(ServerTest, BadOptionsAreRefused) {
  ServerOptions bad = options;
  bad.listen = {{"not-an-address", 0}};
  EXPECT_EQ(Server(bad, clock, logger, {&handler, nullptr}).Start().code(), Code::kInvalidArgument);
  bad = options;
  bad.tls_certificate = "/nonexistent.pem";
  EXPECT_EQ(Server(bad, clock, logger, {&handler, nullptr}).Start().reason(), "tls_options");
  bad.tls_key = "/nonexistent.pem";
  EXPECT_EQ(Server(bad, clock, logger, {&handler, nullptr}).Start().reason(), "tls_files");
  EXPECT_EQ(Server(options, clock, logger, {}).Start().reason(), "server_options");
}

TEST_F(ServerTest, AnIpv6AddressMayHaveBrackets) {
  options.listen = {{"[::1]", 0}};
  Server six(options, clock, logger, {&handler, nullptr});
  const Status status = six.Start();  // A host without IPv6 refuses it, but has read it.
  EXPECT_TRUE(status.ok() || status.reason() == "listen_failed") << status.message();
  EXPECT_TRUE(!status.ok() || six.Drain(20s));
  options.listen = {{"[127.0.0.1]", 0}};
  EXPECT_EQ(Server(options, clock, logger, {&handler, nullptr}).Start().reason(), "listen_address");
}

TEST_F(ServerTest, ListensOnSeveralAddresses) {
  options.listen = {{"localhost", 0}, {"127.0.0.1", 0}};
  Start();
  ASSERT_EQ(server->ports().size(), 2u);
  for (const std::uint16_t p : server->ports()) EXPECT_EQ(Client(p).Get("/a"), "/a");
}

TEST_F(ServerTest, ManyClientsManyThreads) {
  options.loops = 2;
  Start();
  std::thread answerer([&] {
    while (HttpCall* call = handler.Take()) call->Reply(Text("later"));
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        Client client(port);
        for (int j = 0; j < 5; ++j) EXPECT_EQ(client.Get("/wait"), "later");
        if ((t + i) % 3 == 0) {
          client.Send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
          client.Reset();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  server.reset();  // With connections and orphans in every state.
  handler.Stop();
  answerer.join();
}

}  // namespace
}  // namespace brim::io
