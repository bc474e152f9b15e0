// See loaded_objects.h.
#include "vgpu/shim/loaded_objects.h"

#include <dlfcn.h>
#include <string.h>

#include <cstdint>

namespace brim::vgpu {
namespace {

// The loader relocates these pointers in place, except those of the kernel's own object.
template <typename T>
const T* Pointer(const link_map* object, ElfW(Addr) value) {
  return reinterpret_cast<const T*>(value < object->l_addr ? object->l_addr + value : value);
}

struct Symbols {
  const ElfW(Sym) * symbols = nullptr;
  const char* strings = nullptr;
  const ElfW(Half) * versions = nullptr;
  const std::uint32_t* hash = nullptr;
  const char* soname = nullptr;
};

Symbols SymbolsOf(const link_map* object) {
  Symbols found;
  ElfW(Addr) name = 0;
  bool named = false;
  for (const ElfW(Dyn)* entry = object->l_ld; entry != nullptr && entry->d_tag != DT_NULL;
       ++entry) {
    const ElfW(Addr) value = entry->d_un.d_ptr;
    if (entry->d_tag == DT_SYMTAB) found.symbols = Pointer<ElfW(Sym)>(object, value);
    if (entry->d_tag == DT_STRTAB) found.strings = Pointer<char>(object, value);
    if (entry->d_tag == DT_VERSYM) found.versions = Pointer<ElfW(Half)>(object, value);
    if (entry->d_tag == DT_GNU_HASH) found.hash = Pointer<std::uint32_t>(object, value);
    if (entry->d_tag == DT_SONAME) {
      name = value;
      named = true;
    }
  }
  if (named && found.strings != nullptr) found.soname = found.strings + name;
  return found;
}

// Of the GNU form of the symbols' hash table.
std::uint32_t HashOf(const char* name) {
  std::uint32_t hash = 5381;
  for (; *name != '\0'; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

// The parts of which an object in memory consists, by the head of its file, which is mapped too.
struct Parts {
  const ElfW(Phdr) * part = nullptr;
  int count = 0;
  std::uintptr_t base = 0;
  std::uintptr_t offset = 0;  // Of its addresses in memory from those in the file.
};

Parts PartsAt(const void* address) {
  Dl_info info;
  void* object = nullptr;
  if (dladdr1(address, &info, &object, RTLD_DL_LINKMAP) == 0) return {};
  const auto base = reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  const auto* const head = reinterpret_cast<const ElfW(Ehdr)*>(base);
  if (memcmp(head->e_ident, ELFMAG, SELFMAG) != 0) return {};
  return {reinterpret_cast<const ElfW(Phdr)*>(base + head->e_phoff), head->e_phnum, base,
          static_cast<const link_map*>(object)->l_addr};
}

}  // namespace

const link_map* ObjectAt(const void* address) {
  Dl_info info;
  void* object = nullptr;
  const int found = dladdr1(address, &info, &object, RTLD_DL_LINKMAP);
  return found == 0 ? nullptr : static_cast<const link_map*>(object);
}

const char* NameOf(const link_map* object) { return SymbolsOf(object).soname; }

bool InBaseNamespace(const link_map* object) {
  Lmid_t id = -1;
  return dlinfo(const_cast<link_map*>(object), RTLD_DI_LMID, &id) == 0 && id == LM_ID_BASE;
}

void* DefinedIn(const link_map* object, const char* name) {
  const Symbols in = SymbolsOf(object);
  if (in.symbols == nullptr || in.strings == nullptr || in.hash == nullptr) return nullptr;
  // Buckets, first hashed symbol, words of the filter; then the filter, the buckets, the chains.
  const std::uint32_t buckets = in.hash[0];
  const std::uint32_t first = in.hash[1];
  if (buckets == 0) return nullptr;
  const std::uint32_t* const bucket = in.hash + 4 + in.hash[2] * (sizeof(ElfW(Addr)) / 4);
  const std::uint32_t* const chain = bucket + buckets;
  const std::uint32_t hash = HashOf(name);
  std::uint32_t at = bucket[hash % buckets];
  if (at < first) return nullptr;
  // The last of a chain has an odd hash there.
  for (;; ++at) {
    const std::uint32_t there = chain[at - first];
    const ElfW(Sym)& symbol = in.symbols[at];
    const bool is_default = in.versions == nullptr || (in.versions[at] & 0x8000) == 0;
    if ((there | 1) == (hash | 1) && is_default && symbol.st_shndx != SHN_UNDEF &&
        ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && strcmp(in.strings + symbol.st_name, name) == 0)
      return reinterpret_cast<void*>(object->l_addr + symbol.st_value);
    if ((there & 1) != 0) return nullptr;
  }
}

// Those are at the head of the list and never leave it, so the walk needs no lock.
const link_map* StartedWith(const char* name) {
  const link_map* object = ObjectAt(reinterpret_cast<const void*>(&StartedWith));
  while (object != nullptr && object->l_prev != nullptr) object = object->l_prev;
  for (; object != nullptr; object = object->l_next) {
    const char* const own = NameOf(object);
    if (own != nullptr && strcmp(own, name) == 0) return object;
  }
  return nullptr;
}

ObjectSpan SpanAt(const void* address) {
  const Parts parts = PartsAt(address);
  ObjectSpan span;
  for (int i = 0; i < parts.count; ++i) {
    if (parts.part[i].p_type != PT_LOAD) continue;
    const std::uintptr_t end = parts.offset + parts.part[i].p_vaddr + parts.part[i].p_memsz;
    span.begin = parts.base;
    if (end - parts.base > span.bytes) span.bytes = end - parts.base;
  }
  return span;
}

const void* ReturnNear(const void* address) {
  constexpr unsigned char kReturn = 0xc3;
  const Parts parts = PartsAt(address);
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  for (int i = 0; i < parts.count; ++i) {
    if (parts.part[i].p_type != PT_LOAD || (parts.part[i].p_flags & PF_X) == 0) continue;
    const std::uintptr_t begin = parts.offset + parts.part[i].p_vaddr;
    const std::uintptr_t end = begin + parts.part[i].p_memsz;
    if (wanted < begin || wanted >= end) continue;
    const void* const after = memchr(address, kReturn, end - wanted);
    return after != nullptr ? after
                            : memchr(reinterpret_cast<const void*>(begin), kReturn, wanted - begin);
  }
  return nullptr;
}

}  // namespace brim::vgpu
