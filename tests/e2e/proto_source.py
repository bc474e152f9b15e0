"""Reads our own trimmed .proto files, and the descriptors inside the public client packages, into one simple form.

No protoc and no import of the packages is needed: a generated _pb2.py holds its serialized descriptor as a literal.
The reader knows the subset that proto/ uses: messages, nested or not, fields, maps, oneofs, enums, services.
"""
import ast
import dataclasses
import pathlib
import re

from google.protobuf import descriptor_pb2

TYPES = {
    "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "fixed64": 6, "fixed32": 7, "bool": 8, "string": 9,
    "bytes": 12, "uint32": 13, "sfixed32": 15, "sfixed64": 16, "sint32": 17, "sint64": 18,
}
TYPE_WORDS = {number: word for word, number in TYPES.items()}


@dataclasses.dataclass
class Schema:
    messages: dict = dataclasses.field(default_factory=dict)  # full name -> {field: (number, type, repeated, oneof)}
    enums: dict = dataclasses.field(default_factory=dict)     # full name -> {value: number}
    methods: dict = dataclasses.field(default_factory=dict)   # "service/method" -> (request, response, streams)


def _short(name):
    return name.rsplit(".", 1)[-1]


# ------------------------------------------------------------------------------------------- the packages' descriptors

def _serialized(path):
    """The descriptor literal of a _pb2.py, or None."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        literals = [a for a in node.args + [k.value for k in node.keywords]
                    if isinstance(a, ast.Constant) and isinstance(a.value, bytes)]
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if literals and name in ("AddSerializedFile", "FileDescriptor"):
            return literals[0].value
    return None


def _add_message(schema, message, prefix):
    full = f"{prefix}.{message.name}"
    entries = {n.name: n for n in message.nested_type if n.options.map_entry}
    fields = {}
    for field in message.field:
        kind = TYPE_WORDS.get(field.type, _short(field.type_name))
        repeated = field.label == field.LABEL_REPEATED
        if kind in entries and field.type == field.TYPE_MESSAGE:
            key, value = entries[kind].field
            kind = f"map<{TYPE_WORDS[key.type]},{TYPE_WORDS.get(value.type, _short(value.type_name))}>"
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
        fields[field.name] = (field.number, kind, repeated, "" if field.proto3_optional else oneof)
    schema.messages[full] = fields
    for nested in message.nested_type:
        if not nested.options.map_entry:
            _add_message(schema, nested, full)
    for enum in message.enum_type:
        schema.enums[f"{full}.{enum.name}"] = {v.name: v.number for v in enum.value}


def read_packages(files, rename=lambda package: package):
    """Schema of generated modules; `rename` maps a package's name to the public one."""
    schema = Schema()
    for path in files:
        data = _serialized(path)
        if data is None:
            continue
        file = descriptor_pb2.FileDescriptorProto.FromString(data)
        package = rename(file.package)
        for message in file.message_type:
            _add_message(schema, message, package)
        for enum in file.enum_type:
            schema.enums[f"{package}.{enum.name}"] = {v.name: v.number for v in enum.value}
        for service in file.service:
            for method in service.method:
                schema.methods[f"{package}.{service.name}/{method.name}"] = (
                    _short(method.input_type), _short(method.output_type),
                    (method.client_streaming, method.server_streaming))
    return schema


# -------------------------------------------------------------------------------------------------- our own .proto files

_TOKEN = re.compile(r'"[^"]*"|[\w.]+|[{}()<>=;,\[\]]')
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)


class _Reader:
    def __init__(self, path, schema):
        self.path = path
        self.tokens = _TOKEN.findall(_COMMENT.sub("", path.read_text()))
        self.at = 0
        self.schema = schema
        self.package = ""
        self.imports = []

    def next(self, expected=None):
        token = self.tokens[self.at]
        assert expected is None or token == expected, f"{self.path}: '{token}' where '{expected}' should be"
        self.at += 1
        return token

    def skip_to_semicolon(self):
        while self.next() != ";":
            pass

    def file(self):
        while self.at < len(self.tokens):
            word = self.next()
            if word == "package":
                self.package = self.next()
                self.next(";")
            elif word == "import":
                self.imports.append(self.next().strip('"'))
                self.next(";")
            elif word in ("syntax", "option"):
                self.skip_to_semicolon()
            elif word == "message":
                self.message(self.package)
            elif word == "enum":
                self.enum(self.package)
            elif word == "service":
                self.service()
            else:
                raise AssertionError(f"{self.path}: unknown word '{word}'")

    def message(self, prefix):
        full = f"{prefix}.{self.next()}"
        fields = self.schema.messages.setdefault(full, {})
        self.next("{")
        while (word := self.next()) != "}":
            if word == "message":
                self.message(full)
            elif word == "enum":
                self.enum(full)
            elif word == "reserved":
                self.skip_to_semicolon()
            elif word == "oneof":
                oneof = self.next()
                self.next("{")
                while (kind := self.next()) != "}":
                    self.field(fields, kind, False, oneof)
            else:
                repeated = word == "repeated"
                self.field(fields, self.next() if word in ("repeated", "optional") else word, repeated, "")

    def field(self, fields, kind, repeated, oneof):
        if kind == "map":
            self.next("<")
            key = self.next()
            self.next(",")
            kind, repeated = f"map<{key},{_short(self.next())}>", True
            self.next(">")
        name = self.next()
        self.next("=")
        fields[name] = (int(self.next()), kind if kind.startswith("map<") else _short(kind), repeated, oneof)
        self.skip_to_semicolon()

    def enum(self, prefix):
        values = self.schema.enums.setdefault(f"{prefix}.{self.next()}", {})
        self.next("{")
        while (name := self.next()) != "}":
            self.next("=")
            values[name] = int(self.next())
            self.skip_to_semicolon()

    def service(self):
        service = f"{self.package}.{self.next()}"
        self.next("{")
        while self.next() != "}":
            method = self.next()
            ends = []
            for _ in range(2):
                self.next("(")
                word = self.next()
                streams = word == "stream"
                ends.append((self.next() if streams else word, streams))
                self.next(")")
                if len(ends) == 1:
                    self.next("returns")
            if self.next() == "{":
                self.next("}")
            (request, client), (response, server) = ends
            self.schema.methods[f"{service}/{method}"] = (_short(request), _short(response), (client, server))


def read_sources(root, folders):
    """Schema of every .proto below root/folder. Every import must be one of them or google/protobuf's."""
    schema = Schema()
    paths = [p for folder in folders for p in sorted((pathlib.Path(root) / folder).rglob("*.proto"))]
    assert paths, f"no .proto files in {folders}"
    for path in paths:
        reader = _Reader(path, schema)
        reader.file()
        for name in reader.imports:
            assert name.startswith("google/protobuf/") or (pathlib.Path(root) / name).is_file(), f"{path}: {name}"
    return schema


def differences(ours, theirs):
    """What we say that they do not, as lines. What we leave out is no difference."""
    lines = []
    for name, fields in ours.messages.items():
        if name not in theirs.messages:
            lines.append(f"{name}: no such message there")
            continue
        for field, mine in fields.items():
            if theirs.messages[name].get(field) != mine:
                lines.append(f"{name}.{field}: {mine} here, {theirs.messages[name].get(field)} there")
    for name, values in ours.enums.items():
        for value, number in values.items():
            if theirs.enums.get(name, {}).get(value) != number:
                lines.append(f"{name}.{value}: {number} here, {theirs.enums.get(name, {}).get(value)} there")
    for name, mine in ours.methods.items():
        if theirs.methods.get(name) != mine:
            lines.append(f"{name}: {mine} here, {theirs.methods.get(name)} there")
    return lines
