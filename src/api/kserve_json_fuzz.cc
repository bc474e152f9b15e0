// Fuzzes the readers of KServe JSON. The first two bytes say how much of the rest is JSON; what is
// left is binary.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "api/json_parser.h"
#include "api/kserve_json.h"
#include "api/kserve_shared_memory.h"
#include "base/bytes.h"
#include "model/tensor.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t binary = static_cast<std::size_t>(data[0]) | static_cast<std::size_t>(data[1])
                                                                     << 8;
  brim::ByteBuffer body;
  body.Append(std::as_bytes(std::span(data + 2, size - 2)));
  body.Reserve(size);  // Readable padding for an empty body too.
  const std::size_t json = binary < body.size() ? body.size() - binary : body.size();
  brim::api::JsonParserPool pool;
  brim::api::JsonParserPool::Lease parser(pool);
  brim::api::KserveMessage message;
  if (brim::api::ReadInferJson(*parser, body.span(), json, {}, &message).ok()) {
    std::vector<brim::api::KserveAnswerTensor> outputs;
    for (const brim::model::TensorView& input : message.inputs) {
      if (brim::model::CheckData(input).ok()) outputs.push_back({input, false});
    }
    brim::ByteBuffer out;
    std::size_t json_bytes = 0;
    static_cast<void>(brim::api::WriteInferJson({"m", "1", message.id, message.parameters, outputs},
                                                &out, &json_bytes));
  }
  brim::api::RepositoryJson repository;
  static_cast<void>(brim::api::ReadRepositoryJson(*parser, body.span(), {}, &repository));
  brim::api::SharedRegionInfo region;
  static_cast<void>(brim::api::ReadRegisterJson(*parser, body.span(), &region));
  return 0;
}
