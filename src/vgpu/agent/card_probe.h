// What cards this host has, asked of NVML.
//
// libnvidia-ml is opened by dlopen and closed again; nothing of NVIDIA's is needed to build or
// start this program. BRIM_REAL_LIBNVIDIA_ML and BRIM_REAL_LIBCUDA name other files.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "vgpu/agent/slice_spec.h"

namespace brim::vgpu {

struct DriverInfo {
  std::string nvml_path;       // What was opened.
  std::string driver_version;  // "580.95.05"
  std::string cuda_version;    // "13.0"
};

struct Probe {
  DriverInfo driver;
  std::vector<CardInfo> cards;
};

// NOT_FOUND (no_driver) when there is no NVML, with what to do.
Result<Probe> ProbeCards();

// What each process holds on the card, by pid; empty when the driver does not tell.
std::map<std::int32_t, std::uint64_t> UseByProcess(std::uint32_t card);

// What a context and a module take on this card: a child process makes one of each and reads its
// own use from NVML before and after. 0 where the driver does not tell; never an error that stops a
// node.
void Calibrate(CardInfo* card);
// The child's side: `brim node calibrate UUID` prints two numbers.
int CalibrateChild(const std::string& uuid);

}  // namespace brim::vgpu
