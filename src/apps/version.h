// `brim --version`: Brim's version and every library inside it.
#pragma once

#include <string>

namespace brim::apps {

std::string VersionNumber();  // "0.1.0"
// Several lines: linked libraries with the versions they report, then the runtime plugins found.
std::string VersionText();

// Where plugins lie relative to this executable; see serve_settings.inc.
std::string DefaultPluginDir();

}  // namespace brim::apps
