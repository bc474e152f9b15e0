// TLS 1.2 and 1.3 on a non-blocking socket (OpenSSL 3), with ALPN for h2 and http/1.1.
//
// TlsContext: certificate and key, shared by all connections; any thread. TlsStream: one
// connection; on its loop. The handshake happens within Read and Write.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace brim::io {

// What a read or write on a socket came to.
enum class Transfer { kDone, kWantRead, kWantWrite, kEnd, kFailed };

class TlsContext {
 public:
  // PEM files; the certificate's file may hold the chain. Fails with what to check.
  static Result<std::unique_ptr<TlsContext>> Load(const std::string& certificate_path,
                                                  const std::string& key_path);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class TlsStream;
  explicit TlsContext(SSL_CTX* context) : context_(context) {}
  SSL_CTX* context_;
};

class TlsStream {
 public:
  // Null when OpenSSL has no memory. `fd` stays the caller's.
  static std::unique_ptr<TlsStream> Accept(const TlsContext& context, int fd);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // kDone: *n > 0 bytes were moved.
  Transfer Read(std::span<std::byte> into, std::size_t* n);
  Transfer Write(const iovec* vectors, std::size_t count, std::size_t* n);
  // Decrypted bytes wait inside: epoll will not tell of them.
  bool HasPending() const;
  bool handshake_done() const;
  bool ChoseHttp2() const;  // By ALPN; after the handshake.
  void SendCloseNotify();

 private:
  explicit TlsStream(SSL* ssl) : ssl_(ssl) {}
  Transfer Outcome(int rc);
  SSL* ssl_;
};

}  // namespace brim::io
