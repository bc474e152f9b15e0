// For tests that load a vendor's library in a sanitized build: what of the vendor's code is no news
// to us.
//
// Linked into such a test by openvino_runtime and tensorflow_runtime.

extern "C" {

// OpenVINO tries to read a directory as a file, asks for 2^63 bytes and catches the refusal.
__attribute__((visibility("default"))) const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}

__attribute__((visibility("default"))) const char* __lsan_default_suppressions() {
  return "leak:libopenvino\nleak:libtbb\nleak:libtensorflow\n";
}

}  // extern "C"
