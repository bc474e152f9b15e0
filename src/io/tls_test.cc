// TLS over loopback with a certificate made on the spot.
#include "io/tls.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>

#include "io/server.h"

namespace brim::io {
namespace {

using namespace std::chrono_literals;

class Folder {  // A temporary folder with a self-signed certificate and its key.
 public:
  Folder() {
    char name[] = "/tmp/brim_tls_test_XXXXXX";
    path_ = mkdtemp(name);
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
    FILE* file = fopen(certificate_path().c_str(), "w");
    PEM_write_X509(file, certificate);
    fclose(file);
    file = fopen(key_path().c_str(), "w");
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string certificate_path() const { return path_ + "/certificate.pem"; }
  std::string key_path() const { return path_ + "/key.pem"; }

 private:
  std::string path_;
};

class Handler final : public HttpHandler {
 public:
  void OnRequest(HttpCall& call) override {
    HttpReply reply;
    reply.content_type = "application/octet-stream";
    reply.body.Append(call.body());
    call.Reply(std::move(reply));
  }
};

class TlsClient {
 public:
  TlsClient(std::uint16_t port, const std::string& protocols, int version_max = 0) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    timeval patience{20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    context_ = SSL_CTX_new(TLS_client_method());
    if (version_max != 0) SSL_CTX_set_max_proto_version(context_, version_max);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, fd_);
    SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(protocols.data()),
                        static_cast<unsigned>(protocols.size()));
    connected_ = SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    close(fd_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  bool connected() const { return connected_; }
  std::string_view protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  void Send(std::string_view bytes) {
    EXPECT_EQ(SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())),
              static_cast<int>(bytes.size()));
  }
  std::string Read(std::size_t n) {
    std::string text;
    while (text.size() < n) {
      char buffer[16384];
      const int got =
          SSL_read(ssl_, buffer, static_cast<int>(std::min(sizeof buffer, n - text.size())));
      if (got <= 0) break;
      text.append(buffer, static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  int fd_ = -1;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  bool connected_ = false;
};

constexpr std::string_view kHttp11("\x08http/1.1");
constexpr std::string_view kHead =
    "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: ";

class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    ServerOptions options;
    options.listen = {{"127.0.0.1", 0}};
    options.tls_certificate = folder.certificate_path();
    options.tls_key = folder.key_path();
    server = std::make_unique<Server>(options, clock, logger, ServerHandlers{&handler, nullptr});
    const Status status = server->Start();
    ASSERT_TRUE(status.ok()) << status.ToString();
    port = server->ports().at(0);
  }

  Folder folder;
  SystemClock clock;
  Logger logger{2, LogLevel::kOff, LogFormat::kText, clock};
  Handler handler;
  std::unique_ptr<Server> server;
  std::uint16_t port = 0;
};

TEST_F(TlsTest, AnswersInTls13AndTls12) {
  for (const int version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    TlsClient client(port, std::string(kHttp11), version);
    ASSERT_TRUE(client.connected());
    EXPECT_EQ(client.protocol(), "http/1.1");
    for (int i = 0; i < 3; ++i) {
      client.Send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
      const std::string expected = fmt::format("{}5\r\n\r\nhello", kHead);
      EXPECT_EQ(client.Read(expected.size()), expected);
    }
  }
}

TEST_F(TlsTest, OldVersionsAreRefused) {
  TlsClient client(port, std::string(kHttp11), TLS1_1_VERSION);
  EXPECT_FALSE(client.connected());
}

TEST_F(TlsTest, LargeBodiesBothWays) {
  std::string body(5 << 20, 'x');
  for (std::size_t i = 0; i < body.size(); i += 997) body[i] = static_cast<char>(i >> 9);
  TlsClient client(port, std::string(kHttp11));
  ASSERT_TRUE(client.connected());
  client.Send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n\r\n");
  client.Send(body);
  const std::string head = std::string(kHead) + std::to_string(body.size()) + "\r\n\r\n";
  EXPECT_TRUE(client.Read(head.size() + body.size()) == head + body);
}

TEST_F(TlsTest, PlainTextOnATlsPortIsClosed) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_GT(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 0);
  char buffer[1024];
  while (recv(fd, buffer, sizeof buffer, 0) > 0) {
  }
  close(fd);
  TlsClient client(port, std::string(kHttp11));  // And the server lives.
  EXPECT_TRUE(client.connected());
}

TEST_F(TlsTest, UnknownProtocolsAreRefusedAndHttp2IsPreferred) {
  TlsClient unknown(port, "\x04spdy");
  EXPECT_FALSE(unknown.connected());
  TlsClient both(port, "\x08http/1.1\x02h2");
  EXPECT_TRUE(both.connected());
  EXPECT_EQ(both.protocol(), "h2");
}

TEST_F(TlsTest, ConnectionCloseEndsWithCloseNotify) {
  TlsClient client(port, std::string(kHttp11));
  client.Send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.Read(1000).ends_with("connection: close\r\n\r\n"));
  EXPECT_TRUE(server->Drain(20s));
}

TEST(TlsContextTest, SaysWhichFileIsWrong) {
  Folder folder;
  Folder other;
  EXPECT_TRUE(TlsContext::Load(folder.certificate_path(), folder.key_path()).ok());
  const auto absent = TlsContext::Load("/nonexistent/c.pem", folder.key_path());
  EXPECT_NE(absent.status().message().find("No such file"), std::string::npos)
      << absent.status().message();
  const auto load = [](const std::string& certificate, const std::string& key) {
    return TlsContext::Load(certificate, key).status().message();
  };
  EXPECT_NE(load("/nonexistent", folder.key_path()).find("certificate /nonexistent"),
            std::string::npos);
  EXPECT_NE(load(folder.certificate_path(), "/nonexistent").find("key /nonexistent"),
            std::string::npos);
  EXPECT_NE(load(folder.certificate_path(), other.key_path()).find("private key"),
            std::string::npos);
}

}  // namespace
}  // namespace brim::io
