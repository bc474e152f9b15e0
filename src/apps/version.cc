#include "apps/version.h"

#include <csv.h>
#include <fmt/format.h>
#include <llhttp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/crypto.h>
#include <simdjson.h>
#include <unistd.h>
#include <zlib.h>

#include <CLI/Version.hpp>
#include <filesystem>
#include <protozero/version.hpp>
#include <system_error>

#include "planner/bound/linear_program.h"
#include "runtimes/host.h"

namespace brim::apps {
namespace {

std::string ExecutableDir() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "." : self.parent_path().string();
}

}  // namespace

std::string VersionNumber() { return BRIM_VERSION; }

std::string DefaultPluginDir() { return ExecutableDir() + "/../lib/brim"; }

std::string VersionText() {
  std::string text = fmt::format("brim {}\n\nlinked in:\n", BRIM_VERSION);
  const auto line = [&](std::string_view name, std::string_view version, std::string_view what) {
    text += fmt::format("  {:<12} {:<12} {}\n", name, version, what);
  };
  line("nghttp2", nghttp2_version(0)->version_str, "HTTP/2 framing");
  line("llhttp",
       fmt::format("{}.{}.{}", LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH),
       "HTTP/1.1 parser");
  line("simdjson", SIMDJSON_VERSION, "JSON reader");
  line("protozero", PROTOZERO_VERSION_STRING, "protobuf wire format");
  line("OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING), "TLS");
  line("zlib", zlibVersion(), "gzip and deflate");
  line("libcsv", fmt::format("{}.{}.{}", CSV_MAJOR, CSV_MINOR, CSV_RELEASE), "CSV reader");
  line("HiGHS", planner::LpSolverVersion(), "linear programs of the planner");
  line("fmt",
       fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100),
       "text formatting");
  line("CLI11", CLI11_VERSION, "command line");
  text += "\nruntimes:\n";
  runtimes::HostOptions options;
  options.plugin_dirs = {DefaultPluginDir()};
  runtimes::Host host(std::move(options));
  const std::vector<std::string> names = host.List();
  if (names.empty()) text += fmt::format("  none found in {}\n", DefaultPluginDir());
  for (const std::string& name : names) {
    const Result<runtimes::Runtime*> runtime = host.Get(name);
    line(name, runtime.ok() ? std::string((*runtime)->version()) : "-",
         runtime.ok() ? "loaded on demand" : runtime.status().message());
  }
  return text;
}

}  // namespace brim::apps
