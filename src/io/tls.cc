// OpenSSL as a filter; see tls.h. The socket is reached through an own BIO, because OpenSSL
// writes without MSG_NOSIGNAL and a vanished client would then raise SIGPIPE.
#include "io/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace brim::io {
namespace {

// Protocol names in ALPN's wire form, in our order of preference.
constexpr unsigned char kProtocols[] = "\x02h2\x08http/1.1";

std::string FirstError() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  if (ERR_SYSTEM_ERROR(code)) return std::strerror(ERR_GET_REASON(code));
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

int FdOf(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

int BioRead(BIO* bio, char* into, int n) {
  BIO_clear_retry_flags(bio);
  const ssize_t got = recv(FdOf(bio), into, static_cast<std::size_t>(n), 0);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
    BIO_set_retry_read(bio);
  }
  return static_cast<int>(got);
}

int BioWrite(BIO* bio, const char* from, int n) {
  BIO_clear_retry_flags(bio);
  const ssize_t sent = send(FdOf(bio), from, static_cast<std::size_t>(n), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
    BIO_set_retry_write(bio);
  }
  return static_cast<int>(sent);
}

long BioControl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

// One description for the process, made on first use and immutable after (C++ makes that safe).
const BIO_METHOD* SocketMethod() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "brim socket");
    BIO_meth_set_read(m, BioRead);
    BIO_meth_set_write(m, BioWrite);
    BIO_meth_set_ctrl(m, BioControl);
    return m;
  }();
  return method;
}

int SelectProtocol(SSL*, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* offered, unsigned offered_size, void*) {
  unsigned char* chosen = nullptr;
  const int rc = SSL_select_next_proto(&chosen, out_size, kProtocols, sizeof kProtocols - 1,
                                       offered, offered_size);
  *out = chosen;
  return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

Status TlsError(const std::string& what) {
  return Status(Code::kInvalidArgument, "tls_files",
                what + " (" + FirstError() + "): give PEM files that belong together");
}

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::Load(const std::string& certificate_path,
                                                     const std::string& key_path) {
  ERR_clear_error();
  SSL_CTX* raw = SSL_CTX_new(TLS_server_method());
  if (raw == nullptr) return TlsError("cannot set up TLS");
  std::unique_ptr<TlsContext> context(new TlsContext(raw));
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(
      raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);  // Tickets resume; no growing cache.
  SSL_CTX_set_alpn_select_cb(raw, SelectProtocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(raw, certificate_path.c_str()) != 1) {
    return TlsError("cannot read the certificate " + certificate_path);
  }
  if (SSL_CTX_use_PrivateKey_file(raw, key_path.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(raw) != 1) {
    return TlsError("cannot use the private key " + key_path);
  }
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

std::unique_ptr<TlsStream> TlsStream::Accept(const TlsContext& context, int fd) {
  SSL* ssl = SSL_new(context.context_);
  BIO* bio = BIO_new(SocketMethod());
  if (ssl == nullptr || bio == nullptr) {
    SSL_free(ssl);
    BIO_free(bio);
    return nullptr;
  }
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);  // Owns it.
  SSL_set_accept_state(ssl);
  return std::unique_ptr<TlsStream>(new TlsStream(ssl));
}

TlsStream::~TlsStream() { SSL_free(ssl_); }

Transfer TlsStream::Outcome(int rc) {
  switch (SSL_get_error(ssl_, rc)) {
    case SSL_ERROR_WANT_READ:
      return Transfer::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Transfer::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Transfer::kEnd;
    default:
      // A client that closes without close_notify is common; it ends up here and is just as gone.
      return Transfer::kFailed;
  }
}

Transfer TlsStream::Read(std::span<std::byte> into, std::size_t* n) {
  ERR_clear_error();  // SSL_get_error looks at the thread's queue.
  const int rc = SSL_read_ex(ssl_, into.data(), into.size(), n);
  return rc == 1 ? Transfer::kDone : Outcome(rc);
}

Transfer TlsStream::Write(const iovec* vectors, std::size_t count, std::size_t* n) {
  *n = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const char* from = static_cast<const char*>(vectors[i].iov_base);
    std::size_t left = vectors[i].iov_len;
    while (left > 0) {
      ERR_clear_error();
      std::size_t wrote = 0;
      const int rc = SSL_write_ex(ssl_, from, left, &wrote);
      if (rc != 1) return *n > 0 ? Transfer::kDone : Outcome(rc);
      from += wrote;
      left -= wrote;
      *n += wrote;
    }
  }
  return Transfer::kDone;
}

bool TlsStream::HasPending() const { return SSL_pending(ssl_) > 0; }

bool TlsStream::handshake_done() const { return SSL_is_init_finished(ssl_) != 0; }

bool TlsStream::ChoseHttp2() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return std::string_view(reinterpret_cast<const char*>(name), size) == "h2";
}

void TlsStream::SendCloseNotify() {
  ERR_clear_error();
  if (handshake_done()) SSL_shutdown(ssl_);
  ERR_clear_error();
}

}  // namespace brim::io
