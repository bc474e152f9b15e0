/* The C ABI between brim and a model runtime: one shared object per runtime, loaded with dlopen.
 *
 * A plugin exports one function, brim_runtime_entry(). Everything else is reached through the table
 * it returns. The plugin's vendor libraries stay private to it (RTLD_LOCAL, hidden visibility).
 *
 * Rules
 *  - Caller-runs: run() computes on the calling thread and starts no thread. A device runtime may
 * answer later from a thread of its own; then run() returns at once.
 *  - No C++ exception and no C++ type crosses this border.
 *  - load() is called from one thread at a time; run() on different instances from any number of
 * threads at once; one instance is never used by two threads at once.
 *  - Strings are UTF-8, NUL-terminated, and owned by the side that returned them, for as long as
 * stated.
 *  - Structs start with their own size: a newer host may know fields that an older plugin lacks.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BRIM_RUNTIME_ABI 2u
#define BRIM_ERROR_TEXT_MAX 2048u

/* Canonical gRPC codes (base/status.h): 0 is ok, 3 invalid argument, 5 not found, 12 unimplemented,
 * 13 internal, 14 unavailable, ... */
typedef int32_t brim_code;

/* Filled by the plugin when a function returns another code than 0. text is NUL-terminated. */
typedef struct brim_error {
  char text[BRIM_ERROR_TEXT_MAX];
} brim_error;

/* Element types; the same numbers as brim::model::DType. Append only. */
typedef enum brim_dtype {
  BRIM_INVALID = 0,
  BRIM_BOOL = 1,
  BRIM_UINT8 = 2,
  BRIM_UINT16 = 3,
  BRIM_UINT32 = 4,
  BRIM_UINT64 = 5,
  BRIM_INT8 = 6,
  BRIM_INT16 = 7,
  BRIM_INT32 = 8,
  BRIM_INT64 = 9,
  BRIM_FP16 = 10,
  BRIM_FP32 = 11,
  BRIM_FP64 = 12,
  BRIM_BYTES = 13,
  BRIM_BF16 = 14
} brim_dtype;

/* A dense, row-major, little-endian tensor at any alignment. dtype is a brim_dtype; strings are
 * encoded as per element a uint32 length and that many bytes. In a signature a dimension of -1 is
 * dynamic and data is NULL. */
typedef struct brim_tensor {
  const char* name; /* NULL in a run's inputs: their order says which they are */
  int32_t dtype;
  int32_t rank; /* -1 in a signature: unknown */
  const int64_t* dims;
  const void* data;
  uint64_t bytes;
} brim_tensor;

typedef struct brim_signature {
  const char* name;        /* "serving_default" where the format has no names */
  const char* method_name; /* may be "" */
  const brim_tensor* inputs;
  uint32_t input_count;
  const brim_tensor* outputs;
  uint32_t output_count;
} brim_signature;

typedef struct brim_runtime brim_runtime; /* one per process */
typedef struct brim_model brim_model;     /* one loaded model version */
typedef struct brim_instance
    brim_instance; /* one caller's way to run it: a compiled copy, if need be */

typedef struct brim_open_options {
  uint32_t struct_size;
  const char* library_dir; /* where the vendor's libraries lie; NULL: beside the plugin */
  uint32_t worker_threads; /* how many threads will call run() */
} brim_open_options;

typedef struct brim_load_options {
  uint32_t struct_size;
  const char* path;      /* a model file, or the directory of a SavedModel */
  const char* device;    /* NULL or "": "CPU" */
  const char* precision; /* NULL or "": "f32"; "bf16", "f16", "auto" = the runtime's own choice */
  uint32_t width;        /* cores one inference may spread over; 0 and 1: caller-runs */
  const char* const* option_keys; /* runtime-specific options from the model's configuration */
  const char* const* option_values;
  uint32_t option_count;
} brim_load_options;

typedef struct brim_model_info {
  const char* platform;
  const char* precision;
  const char* device;
  const brim_signature* signatures; /* valid until unload */
  uint32_t signature_count;
  /* 1: instances share one compiled model, cost nothing, and run in parallel (TensorFlow).
   * 0: each instance holds a compiled copy (OpenVINO in caller-runs mode). */
  uint32_t instances_are_free;
  /* What the runtime does otherwise than its owner would expect of it, in one line; "" usually. */
  const char* note;
} brim_model_info;

typedef struct brim_run {
  uint32_t struct_size;
  uint32_t signature; /* index into brim_model_info.signatures */
  /* In signature order; every dtype, rank and byte count is checked by the host. The structs and
   * their dims are valid during run(), their data until done was called. */
  const brim_tensor* inputs;
  uint32_t input_count;
  const uint32_t* outputs; /* wanted outputs: indexes into the signature's outputs */
  uint32_t output_count;
} brim_run;

/* Called exactly once for each run(), on the calling thread or later. On success outputs are in the
 * wanted order and valid only during the call; on failure code is not 0, text says why, and outputs
 * is NULL. */
typedef void (*brim_done)(void* context, brim_code code, const char* text,
                          const brim_tensor* outputs, uint32_t output_count);

typedef struct brim_runtime_api {
  uint32_t struct_size;
  uint32_t abi;        /* BRIM_RUNTIME_ABI */
  const char* name;    /* "openvino" */
  const char* version; /* the vendor's, e.g. "2026.4.1" */

  brim_code (*open)(const brim_open_options* options, brim_runtime** runtime, brim_error* error);
  void (*close)(brim_runtime* runtime);
  /* Comma-separated device names, e.g. "CPU,GPU.0". Valid until close. */
  const char* (*devices)(brim_runtime* runtime);
  /* 2 if the plugin can serve all of what lies at this path, 1 if part of it (e.g. one signature of
   * several), 0 if none. By content, not only by name. Cheap: no load. */
  uint32_t (*reads)(brim_runtime* runtime, const char* path);

  brim_code (*load)(brim_runtime* runtime, const brim_load_options* options, brim_model** model,
                    brim_error* error);
  /* REQUIRES: every instance is destroyed. Gives the memory back. */
  void (*unload)(brim_model* model);
  const brim_model_info* (*info)(brim_model* model); /* valid until unload */

  brim_code (*new_instance)(brim_model* model, brim_instance** instance, brim_error* error);
  void (*free_instance)(brim_instance* instance);
  void (*run)(brim_instance* instance, const brim_run* run, brim_done done, void* context);

  /* Loads what the first load() needs of the vendor's, so that its memory is not taken for a
   * model's. Called before each load; NULL where open() does it all. */
  brim_code (*prepare)(brim_runtime* runtime, brim_error* error);
} brim_runtime_api;

/* The one exported symbol. Returns NULL when host_abi is not supported. */
typedef const brim_runtime_api* (*brim_runtime_entry_fn)(uint32_t host_abi);
#define BRIM_RUNTIME_ENTRY "brim_runtime_entry"

#ifdef __cplusplus
} /* extern "C" */
#endif
