// What CMake would generate for a static library: nothing is exported.
#ifndef HIGHS_EXPORT_H
#define HIGHS_EXPORT_H
#define HIGHS_EXPORT
#define HIGHS_NO_EXPORT
#define HIGHS_DEPRECATED
#define HIGHS_DEPRECATED_EXPORT
#define HIGHS_DEPRECATED_NO_EXPORT
#endif
