// The shim's tables against the vendor's headers: nothing that allocates, launches or imports is
// passed on unless a reason is written down; what the libraries export and need is the vendor's and
// libc.
#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "vgpu/shim/shim_test_slice.h"

namespace brim::vgpu {
namespace {

const std::set<std::string> kCuNames = {
#define X(name) #name,
#include "cu_symbols.inc"
#undef X
};
const std::set<std::string> kCuHooks = {
#define BRIM_HOOK(name) #name,
#include "vgpu/shim/cu_hooks.inc"
#undef BRIM_HOOK
};
const std::map<std::string, std::string> kCuExempt = {
#define EXEMPT(name, reason) {#name, reason},
#include "vgpu/shim/cu_exempt.inc"
#undef EXEMPT
};
const std::set<std::string> kNvmlNames = {
#define X(name) #name,
#include "nvml/nvml_symbols.inc"
#undef X
};
const std::set<std::string> kNvmlHooks = {
#define BRIM_HOOK(name) #name,
#include "vgpu/shim/nvml_hooks.inc"
#undef BRIM_HOOK
};
#define BRIM_REFUSED(name)
#define BRIM_HIDDEN(name)
#define BRIM_ALLOWED(name, reason) #name,
const std::set<std::string> kNvmlAllowed = {
#include "vgpu/shim/nvml_refused.inc"
};
#undef BRIM_REFUSED
#undef BRIM_HIDDEN
#undef BRIM_ALLOWED
#define BRIM_REFUSED(name) #name,
#define BRIM_HIDDEN(name) #name,
#define BRIM_ALLOWED(name, reason)
const std::set<std::string> kNvmlRefused = {
#include "vgpu/shim/nvml_refused.inc"
};

// The rule: a name with one of these words may allocate, launch or bring in memory.
bool LooksLikeWork(const std::string& name) {
  for (const char* word : {"Alloc", "Create", "Launch", "Import", "Open", "Load", "Retain", "Map",
                           "Bind", "AddNode", "AddMem", "Instantiate", "Upload"}) {
    if (name.find(word) != std::string::npos) return true;
  }
  return false;
}

// The rule for NVML: a verb of these, as a word of its own, changes something.
bool LooksLikeSetter(const std::string& name) {
  for (const char* verb : {"Set", "Reset", "Clear", "Create", "Destroy", "Modify", "Remove",
                           "Freeze", "Update", "Activate", "ReadWrite", "Setup", "Discover"}) {
    for (std::size_t at = name.find(verb); at != std::string::npos; at = name.find(verb, at + 1)) {
      const char next = name.c_str()[at + strlen(verb)];
      if (next == '\0' || next == '_' || std::isupper(static_cast<unsigned char>(next)))
        return true;
    }
  }
  return false;
}

std::string Base(std::string name) {
  for (const char* suffix : {"_ptsz", "_ptds"}) {
    if (name.ends_with(suffix)) name.resize(name.size() - 5);
  }
  const std::size_t at = name.rfind("_v");
  return at != std::string::npos && at + 3 == name.size() ? name.substr(0, at) : name;
}

TEST(ShimTableTest, WhatLooksLikeWorkIsHookedOrExemptWithAReason) {
  EXPECT_GE(kCuNames.size(), 600u);
  for (const std::string& name : kCuNames) {
    if (!LooksLikeWork(name)) continue;
    EXPECT_NE(kCuHooks.count(name), kCuExempt.count(name))
        << name << ": hook it or write into cu_exempt.inc why it is passed on";
  }
  for (const std::string& name : kCuHooks) EXPECT_EQ(kCuNames.count(name), 1u) << name;
  for (const auto& [name, reason] : kCuExempt) {
    EXPECT_EQ(kCuNames.count(name), 1u) << name << " is not in the header";
    EXPECT_TRUE(LooksLikeWork(name)) << name << " needs no exemption";
    EXPECT_GT(reason.size(), 10u) << name;
  }
}

TEST(ShimTableTest, AllFormsOfAHookedFunctionAreHooked) {
  std::set<std::string> bases;
  for (const std::string& name : kCuHooks) bases.insert(Base(name));
  for (const std::string& name : kCuNames) {
    if (bases.count(Base(name)) == 0) continue;
    EXPECT_EQ(kCuHooks.count(name), 1u) << name;
  }
}

TEST(ShimTableTest, WhatChangesTheCardIsRefused) {
  EXPECT_GE(kNvmlNames.size(), 380u);
  for (const std::string& name : kNvmlNames) {
    if (!LooksLikeSetter(name)) continue;
    EXPECT_NE(kNvmlRefused.count(name), kNvmlAllowed.count(name)) << name;
  }
  for (const std::string& name : kNvmlHooks) {
    EXPECT_EQ(kNvmlNames.count(name), 1u) << name;
    EXPECT_EQ(kNvmlRefused.count(name), 0u) << name << " is hooked and refused";
  }
}

// The dynamic section and the dynamic symbols of a 64-bit ELF file.
struct Library {
  std::vector<std::string> needed;
  std::set<std::string> exported;
  std::set<std::string> imported;
  std::string soname;
  std::size_t initialisers = 0;  // Bytes of the table of what runs at load time.
};

Library ReadLibrary(const std::string& path) {
  Library library;
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
  if (bytes.size() < sizeof(Elf64_Ehdr)) return library;
  Elf64_Ehdr head;
  memcpy(&head, bytes.data(), sizeof(head));
  std::vector<Elf64_Shdr> sections(head.e_shnum);
  memcpy(sections.data(), bytes.data() + head.e_shoff, sections.size() * sizeof(Elf64_Shdr));
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type != SHT_DYNAMIC && section.sh_type != SHT_DYNSYM) continue;
    const char* const text = bytes.data() + sections[section.sh_link].sh_offset;
    for (std::size_t at = 0; at < section.sh_size; at += section.sh_entsize) {
      const char* const entry = bytes.data() + section.sh_offset + at;
      if (section.sh_type == SHT_DYNAMIC) {
        Elf64_Dyn dynamic;
        memcpy(&dynamic, entry, sizeof(dynamic));
        if (dynamic.d_tag == DT_NEEDED) library.needed.push_back(text + dynamic.d_un.d_val);
        if (dynamic.d_tag == DT_INIT_ARRAYSZ) library.initialisers = dynamic.d_un.d_val;
        if (dynamic.d_tag == DT_SONAME) library.soname = text + dynamic.d_un.d_val;
      } else {
        Elf64_Sym symbol;
        memcpy(&symbol, entry, sizeof(symbol));
        const std::string name = text + symbol.st_name;
        if (name.empty()) continue;
        (symbol.st_shndx == SHN_UNDEF ? library.imported : library.exported).insert(name);
      }
    }
  }
  return library;
}

TEST(ShimTableTest, TheLibrariesExportTheVendorsNamesAndNeedLibcAlone) {
  const Library cuda = ReadLibrary(BRIM_SHIM_FOLDER "/libcuda.so.1");
  EXPECT_EQ(cuda.exported, kCuNames);
  EXPECT_EQ(cuda.needed, std::vector<std::string>{"libc.so.6"});
  EXPECT_EQ(cuda.soname, "libcuda.so.1");
  const Library nvml = ReadLibrary(BRIM_SHIM_FOLDER "/libnvidia-ml.so.1");
  EXPECT_EQ(nvml.exported, kNvmlNames);
  EXPECT_EQ(nvml.needed, std::vector<std::string>{"libc.so.6"});
  EXPECT_EQ(nvml.soname, "libnvidia-ml.so.1");
  // What is answered here, the two doors, and the mark by which the others know it.
  std::set<std::string> answered = {"brim_preload", "dlsym", "dlvsym"};
  answered.insert(kCuHooks.begin(), kCuHooks.end());
  answered.insert(kNvmlHooks.begin(), kNvmlHooks.end());
  answered.insert(kNvmlRefused.begin(), kNvmlRefused.end());
  const Library preload = ReadLibrary(BRIM_SHIM_FOLDER "/libbrim_preload.so");
  EXPECT_EQ(preload.exported, answered);
  EXPECT_EQ(preload.needed, std::vector<std::string>{"libc.so.6"});
  EXPECT_EQ(preload.soname, "libbrim_preload.so");
  // The compiler's own entry alone: nothing of ours runs before it is called.
  for (const Library* library : {&cuda, &nvml, &preload}) {
    EXPECT_EQ(library->initialisers, sizeof(void*)) << library->soname;
  }
  // No heap, no way to print or to end the process.
  for (const char* name : {"malloc", "calloc", "realloc", "free", "printf", "puts", "fputs",
                           "perror", "exit", "_exit", "abort", "dlclose"}) {
    EXPECT_EQ(cuda.imported.count(name), 0u) << name;
    EXPECT_EQ(nvml.imported.count(name), 0u) << name;
    EXPECT_EQ(preload.imported.count(name), 0u) << name;
  }
}

}  // namespace
}  // namespace brim::vgpu
