// A library that calls itself libcuda.so.1 and gives its function a version, for dlvsym().
extern "C" __attribute__((visibility("default"))) int cuInit(unsigned) { return 4712; }
