#include "planner/replay/stream_format.h"

#include <gtest/gtest.h>

namespace brim::planner {
namespace {

TEST(StreamFormat, ReadsOursSorted) {
  const auto input = ReadRequests("r.csv", "t_s,model,service_s\n9,b,2\n5,a,1.5\n");
  ASSERT_TRUE(input.ok()) << input.status().message();
  ASSERT_EQ(input->stream.requests.size(), 2u);
  EXPECT_DOUBLE_EQ(input->stream.requests[0].t_s, 0);  // From the first request on.
  EXPECT_DOUBLE_EQ(input->stream.requests[1].t_s, 4);
  EXPECT_EQ(input->stream.models[input->stream.requests[0].model], "a");
}

TEST(StreamFormat, ReadsTheTraceAndCountsWhatItLeavesOut) {
  const auto input = ReadRequests(
      "t.csv",
      "gmt_create,predict_type,predict_status,exec_time_seconds,checkpoint_model_version_id\n"
      "2024-02-29 23:59:30,TXT_2_IMG,SUCCEED,32.0,M1\n"
      "2024-03-01 00:00:30,TXT_2_IMG,SUCCEED,1.0,M2\n"
      "2024-03-01 00:00:31,TXT_2_IMG,FAILED,1.0,M2\n"
      "2024-03-01 00:00:32,TXT_2_IMG,SUCCEED,1.0,\n");
  ASSERT_TRUE(input.ok()) << input.status().message();
  EXPECT_EQ(input->stream.requests.size(), 2u);
  EXPECT_DOUBLE_EQ(input->stream.requests[1].t_s, 60);
  EXPECT_EQ(input->not_ended, 1);
  EXPECT_EQ(input->without_model, 1);
}

TEST(StreamFormat, SaysWhatIsWrong) {
  const auto says = [](std::string_view text) {
    const auto input = ReadRequests("f.csv", text);
    return input.ok() ? std::string("ok") : input.status().message();
  };
  EXPECT_NE(says("t_s,model\n1,a\n").find("f.csv"), std::string::npos);
  EXPECT_NE(says("t_s,model,service_s\n1,a,-2\n").find("f.csv:2"), std::string::npos);
  EXPECT_NE(says("t_s,model,service_s\n1,a,x\n").find("f.csv:2"), std::string::npos);
  EXPECT_NE(says("t_s,model,service_s\n").find("no request"), std::string::npos);
  EXPECT_NE(says("").find("f.csv"), std::string::npos);
  EXPECT_NE(says("gmt_create,predict_status,exec_time_seconds,checkpoint_model_version_id\n"
                 "yesterday,SUCCEED,1,M\n")
                .find("f.csv:2"),
            std::string::npos);
}

TEST(StreamFormat, LoadTimes) {
  const auto own = ReadLoadTimes("l.csv", "load_s\n1.5\n");
  ASSERT_TRUE(own.ok());
  EXPECT_DOUBLE_EQ((*own)[0], 1.5);
  const auto trace = ReadLoadTimes("l.csv", "timestamp_anon,value,container_ip\n1,2639.0,x\n");
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_DOUBLE_EQ((*trace)[0], 2.639);
  EXPECT_FALSE(ReadLoadTimes("l.csv", "load_s\n").ok());
  EXPECT_FALSE(ReadLoadTimes("l.csv", "load_s\n-1\n").ok());
}

TEST(StreamFormat, Times) {
  EXPECT_DOUBLE_EQ(SecondsOf("1970-01-02 00:00:01"), 86401);
  EXPECT_DOUBLE_EQ(SecondsOf("2024-11-15 16:57:50"), 1731689870);
  EXPECT_LT(SecondsOf("2024-11-15T16:57:50"), 0);
  EXPECT_LT(SecondsOf("2024-13-15 16:57:50"), 0);
  EXPECT_LT(SecondsOf("2024-1x-15 16:57:50"), 0);
  EXPECT_LT(SecondsOf("soon"), 0);
}

}  // namespace
}  // namespace brim::planner
