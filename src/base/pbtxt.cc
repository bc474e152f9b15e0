#include "base/pbtxt.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <utility>

#include "base/text.h"

namespace brim {
namespace {

constexpr std::size_t kTextMax = 1 << 20;
constexpr int kDepthMax = 32;
constexpr std::size_t kFieldsMax = 65536;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsWordStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsWord(char c) { return IsWordStart(c) || IsDigit(c); }

// The value of a digit in any base up to 16; 16 for anything else.
unsigned DigitValue(char c) {
  if (IsDigit(c)) return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return 16;
}

Status SyntaxError(int line, std::string_view what) {
  return Status(Code::kInvalidArgument, "pbtxt_syntax", fmt::format("line {}: {}", line, what));
}

void AppendUtf8(std::string* out, std::uint32_t point) {
  const auto put = [&](std::uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xC0 | (point >> 6));
  } else {
    if (point < 0x10000) {
      put(0xE0 | (point >> 12));
    } else {
      put(0xF0 | (point >> 18));
      put(0x80 | ((point >> 12) & 0x3F));
    }
    put(0x80 | ((point >> 6) & 0x3F));
  }
  put(0x80 | (point & 0x3F));
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  // Reads fields until `closing` (which it consumes), or until the end of the text when closing is
  // 0.
  Status Fields(char closing, int depth, PbMessage* out) {
    for (;;) {
      SkipBlank();
      if (AtEnd()) {
        if (closing == 0) return OkStatus();
        return Error(fmt::format("the text ends inside a message; expected '{}'", closing));
      }
      if (closing != 0 && Peek() == closing) {
        ++at_;
        return OkStatus();
      }
      BRIM_RETURN_IF_ERROR(Field(depth, out));
      SkipBlank();
      if (!AtEnd() && (Peek() == ',' || Peek() == ';')) ++at_;
    }
  }

 private:
  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return text_[at_]; }
  Status Error(std::string_view what) const { return SyntaxError(line_, what); }

  Status Unexpected(std::string_view wanted) const {
    if (AtEnd()) return Error(fmt::format("expected {}, found the end of the text", wanted));
    const auto c = static_cast<unsigned char>(Peek());
    if (c > 0x20 && c < 0x7F) {
      return Error(fmt::format("expected {}, found '{}'", wanted, static_cast<char>(c)));
    }
    return Error(fmt::format("expected {}, found byte 0x{:02x}", wanted, c));
  }

  void SkipBlank() {
    for (; !AtEnd(); ++at_) {
      const char c = Peek();
      if (c == '#') {
        while (!AtEnd() && Peek() != '\n') ++at_;
        if (AtEnd()) return;
      } else if (c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != '\v' && c != '\f') {
        return;
      }
      if (Peek() == '\n') ++line_;
    }
  }

  std::string_view Word() {
    const std::size_t start = at_;
    while (!AtEnd() && IsWord(Peek())) ++at_;
    return text_.substr(start, at_ - start);
  }

  // A plain name, or an extension's or Any's in square brackets, which is kept with them.
  Status Name(std::string* name) {
    if (!AtEnd() && IsWordStart(Peek())) {
      name->assign(Word());
      return OkStatus();
    }
    if (AtEnd() || Peek() != '[') return Unexpected("a field name");
    const std::size_t start = at_++;
    while (!AtEnd() && (IsWord(Peek()) || Peek() == '.' || Peek() == '/' || Peek() == '-')) ++at_;
    if (AtEnd() || Peek() != ']' || at_ == start + 1) return Unexpected("a name and ']'");
    name->assign(text_.substr(start, ++at_ - start));
    return OkStatus();
  }

  Status Field(int depth, PbMessage* out) {
    std::string name;
    const int line = line_;
    BRIM_RETURN_IF_ERROR(Name(&name));
    SkipBlank();
    const bool colon = !AtEnd() && Peek() == ':';
    if (colon) {
      ++at_;
      SkipBlank();
    }
    if (!AtEnd() && Peek() == '[') return List(name, colon, depth, out);
    if (!colon && (AtEnd() || (Peek() != '{' && Peek() != '<'))) {
      return Unexpected(fmt::format("':' or '{{' after '{}'", name));
    }
    return Value(name, line, depth, out);
  }

  Status List(const std::string& name, bool colon, int depth, PbMessage* out) {
    ++at_;
    SkipBlank();
    if (!AtEnd() && Peek() == ']') {
      ++at_;
      return OkStatus();
    }
    for (;;) {
      SkipBlank();
      if (!colon && (AtEnd() || (Peek() != '{' && Peek() != '<'))) {
        return Unexpected(fmt::format("'{{' in the list '{}' (a list of scalars needs ':')", name));
      }
      BRIM_RETURN_IF_ERROR(Value(name, line_, depth, out));
      SkipBlank();
      if (AtEnd() || (Peek() != ',' && Peek() != ']')) return Unexpected("',' or ']'");
      if (text_[at_++] == ']') return OkStatus();
    }
  }

  Status Value(const std::string& name, int line, int depth, PbMessage* out) {
    if (++fields_ > kFieldsMax) return Error(fmt::format("more than {} fields", kFieldsMax));
    PbField field;
    field.name = name;
    field.line = line;
    if (AtEnd()) return Unexpected(fmt::format("a value for '{}'", name));
    const char c = Peek();
    if (c == '{' || c == '<') {
      if (depth >= kDepthMax) return Error(fmt::format("more than {} nested messages", kDepthMax));
      ++at_;
      field.message = std::make_unique<PbMessage>();
      BRIM_RETURN_IF_ERROR(Fields(c == '{' ? '}' : '>', depth + 1, field.message.get()));
    } else if (c == '"' || c == '\'') {
      field.quoted = true;
      BRIM_RETURN_IF_ERROR(Strings(&field.scalar));
    } else {
      BRIM_RETURN_IF_ERROR(Literal(name, &field.scalar));
    }
    out->fields.push_back(std::move(field));
    return OkStatus();
  }

  // A number or a word, either with a minus sign. Numbers are only delimited here, not checked.
  Status Literal(const std::string& name, std::string* out) {
    if (Peek() == '-') {
      out->push_back('-');
      ++at_;
      SkipBlank();
    }
    const std::size_t start = at_;
    while (!AtEnd() && (IsWord(Peek()) || Peek() == '.' || IsExponentSign(start))) ++at_;
    if (at_ == start) return Unexpected(fmt::format("a value for '{}'", name));
    out->append(text_.substr(start, at_ - start));
    return OkStatus();
  }

  bool IsExponentSign(std::size_t start) const {
    if (Peek() != '+' && Peek() != '-') return false;
    if (at_ == start || (text_[at_ - 1] != 'e' && text_[at_ - 1] != 'E')) return false;
    const char first = text_[start];
    const bool hex = first == '0' && start + 1 < at_ && (text_[start + 1] | 0x20) == 'x';
    return (IsDigit(first) || first == '.') && !hex;
  }

  // Adjacent literals are one string.
  Status Strings(std::string* out) {
    while (!AtEnd() && (Peek() == '"' || Peek() == '\'')) {
      BRIM_RETURN_IF_ERROR(OneString(out));
      SkipBlank();
    }
    return OkStatus();
  }

  Status OneString(std::string* out) {
    const char quote = text_[at_++];
    for (;;) {
      if (AtEnd() || Peek() == '\n') return Error("a string is not closed on its line");
      const char c = text_[at_++];
      if (c == quote) return OkStatus();
      if (c != '\\') {
        out->push_back(c);
      } else {
        BRIM_RETURN_IF_ERROR(Escape(out));
      }
    }
  }

  // Up to `most` digits of `base`; false when there is none.
  bool Digits(unsigned base, int most, std::uint32_t* value) {
    *value = 0;
    int count = 0;
    for (; count < most && !AtEnd() && DigitValue(Peek()) < base; ++count) {
      *value = *value * base + DigitValue(text_[at_++]);
    }
    return count > 0;
  }

  Status Escape(std::string* out) {
    static constexpr std::string_view kLetters = "abfnrtv?\\'\"";
    static constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v?\\'\"";
    if (AtEnd()) return Error("the text ends after a backslash");
    const char c = text_[at_];
    std::uint32_t value = 0;
    if (const std::size_t i = kLetters.find(c); i != std::string_view::npos) {
      ++at_;
      out->push_back(kMeanings[i]);
      return OkStatus();
    }
    if (Digits(8, 3, &value)) {
      if (value > 0xFF) return Error("an octal escape is above \\377");
      out->push_back(static_cast<char>(value));
      return OkStatus();
    }
    ++at_;
    if (c == 'x' || c == 'X') {
      if (!Digits(16, 2, &value)) return Error("\\x needs hexadecimal digits");
      out->push_back(static_cast<char>(value));
      return OkStatus();
    }
    if (c == 'u' || c == 'U') {
      const std::size_t start = at_;
      const int wanted = c == 'u' ? 4 : 8;
      Digits(16, wanted, &value);
      if (at_ - start != static_cast<std::size_t>(wanted) || value > 0x10FFFF ||
          (value >= 0xD800 && value < 0xE000)) {
        return Error("\\u needs 4 and \\U 8 hexadecimal digits of a Unicode character");
      }
      AppendUtf8(out, value);
      return OkStatus();
    }
    return Error("an unknown escape; write \\\\ for a backslash");
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::size_t fields_ = 0;
};

Status WrongKind(const PbField& field, std::string_view wanted) {
  std::string found = field.message != nullptr ? "a message"
                      : field.quoted           ? "a string"
                                               : fmt::format("'{:.64}'", field.scalar);
  return Status(
      Code::kInvalidArgument, "pbtxt_value",
      fmt::format("line {}: '{}' must be {}, found {}", field.line, field.name, wanted, found));
}

}  // namespace

Result<std::string> PbField::AsString() const {
  if (message != nullptr || !quoted) return WrongKind(*this, "a quoted string");
  return scalar;
}

Result<std::int64_t> PbField::AsInt() const {
  if (message != nullptr || quoted) return WrongKind(*this, "an integer");
  std::string_view digits = scalar;
  const bool negative = !digits.empty() && digits.front() == '-';
  if (negative) digits.remove_prefix(1);
  int base = 10;
  if (digits.size() > 2 && digits[0] == '0' && (digits[1] | 0x20) == 'x') {
    base = 16;
    digits.remove_prefix(2);
  } else if (digits.size() > 1 && digits[0] == '0') {
    base = 8;
  }
  std::uint64_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, base);
  const std::uint64_t most =
      static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) + (negative ? 1 : 0);
  if (error == std::errc::invalid_argument || stop != end) return WrongKind(*this, "an integer");
  if (error != std::errc() || value > most) return WrongKind(*this, "an integer of 64 bits");
  return static_cast<std::int64_t>(negative ? ~value + 1 : value);
}

Result<bool> PbField::AsBool() const {
  if (message == nullptr && !quoted) {
    for (const std::string_view yes : {"true", "True", "t", "1"}) {
      if (scalar == yes) return true;
    }
    for (const std::string_view no : {"false", "False", "f", "0"}) {
      if (scalar == no) return false;
    }
  }
  return WrongKind(*this, "true or false");
}

Result<double> PbField::AsDouble() const {
  if (message != nullptr || quoted) return WrongKind(*this, "a number");
  std::string_view text = scalar;
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  double value = 0;
  if (EqualsIgnoreCase(text, "inf") || EqualsIgnoreCase(text, "infinity")) {
    value = std::numeric_limits<double>::infinity();
  } else if (EqualsIgnoreCase(text, "nan")) {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    if (text.empty() || !(IsDigit(text[0]) || text[0] == '.')) return WrongKind(*this, "a number");
    if (text.back() == 'f' || text.back() == 'F') text.remove_suffix(1);
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end) return WrongKind(*this, "a number");
  }
  return negative ? -value : value;
}

Result<std::string> PbField::AsEnum() const {
  if (message != nullptr || quoted || scalar.empty() || !IsWordStart(scalar[0])) {
    return WrongKind(*this, "a bare word");
  }
  return scalar;
}

const PbField* PbMessage::Find(std::string_view name) const {
  for (auto field = fields.rbegin(); field != fields.rend(); ++field) {
    if (field->name == name) return &*field;
  }
  return nullptr;
}

std::vector<const PbField*> PbMessage::All(std::string_view name) const {
  std::vector<const PbField*> found;
  for (const PbField& field : fields) {
    if (field.name == name) found.push_back(&field);
  }
  return found;
}

Result<PbMessage> ParsePbtxt(std::string_view text) {
  if (text.size() > kTextMax) {
    return Status(Code::kInvalidArgument, "pbtxt_too_large",
                  fmt::format("{} of text; at most {} are read", HumanBytes(text.size()),
                              HumanBytes(kTextMax)));
  }
  PbMessage root;
  BRIM_RETURN_IF_ERROR(Parser(text).Fields(0, 0, &root));
  return root;
}

}  // namespace brim
