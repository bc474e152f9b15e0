// Tests of `brim serve`'s command line.
#include "apps/serve_settings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace brim::apps {
namespace {

TEST(ServeSettingsTest, DefaultsAndFlags) {
  const ParsedServe parsed = ParseServe(
      {"models", "--port", "0", "--listen", "127.0.0.1:1", "--listen", "[::1]:2", "--access-log"});
  ASSERT_TRUE(parsed.run) << parsed.text;
  EXPECT_EQ(parsed.settings.path, "models");
  EXPECT_EQ(parsed.settings.port, 0u);
  EXPECT_EQ(parsed.settings.listen.size(), 2u);
  EXPECT_TRUE(parsed.settings.access_log);
  EXPECT_EQ(parsed.settings.precision, "f32");
}

TEST(ServeSettingsTest, HelpTeaches) {
  const ParsedServe parsed = ParseServe({"--help"});
  EXPECT_FALSE(parsed.run);
  EXPECT_EQ(parsed.exit_code, 0);
  for (const char* word : {"--port", "--batch-max", "config.pbtxt", "Examples", "curl"}) {
    EXPECT_NE(parsed.text.find(word), std::string::npos) << word;
  }
}

TEST(ServeSettingsTest, WrongInputSaysWhatToType) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"models", "--prot", "1"},
      {"models", "--port", "x"},
      {"models", "--port", "70000"},
      {"models", "--model-control", "sometimes"},
      {"models", "--tls-key", "k.pem"},
      {"models", "--load-model", "a"},
      {"models", "--batch-max", "0"},
      {"models", "--connections-max", "0"},
      {"models", "--queue-max", "0"},
      {"models", "--shared-memory", "no_slash"},
      {"models", "--log-level", "loud"},
      {"models", "another"},
  };
  for (const auto& arguments : wrong) {
    const ParsedServe parsed = ParseServe(arguments);
    EXPECT_FALSE(parsed.run);
    EXPECT_EQ(parsed.exit_code, 2);
    EXPECT_NE(parsed.text.find("brim serve --help"), std::string::npos) << parsed.text;
  }
}

TEST(ServeSettingsTest, ReferenceHasARowPerFlag) {
  const std::string page = ServeReference();
  EXPECT_NE(page.find("| `--port` | port | 8000 |"), std::string::npos);
  EXPECT_NE(page.find("poll\\|none\\|explicit"), std::string::npos);
}

// docs/reference/serve.md is what the rows say; UPDATE_GOLDEN=1 rewrites it.
TEST(ServeSettingsGoldenTest, ReferencePageIsCurrent) {
  if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(BRIM_SERVE_PAGE) << ServeReference();
  std::ifstream file(BRIM_SERVE_PAGE);
  const std::string stored{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(stored, ServeReference()) << "type `make golden` and look at the diff";
}

}  // namespace
}  // namespace brim::apps
