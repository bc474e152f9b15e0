// Nodes, pods and layouts in every format, and what is refused.
#include "planner/formats/cluster_format.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace brim::planner {
namespace {

constexpr const char* kNodes =
    "name,cpu_milli,memory_mib,cards,card_model,card_memory_mib\n"
    "n0,64000,262144,2,T4,15360\n"
    "n1,96000,393216,8,A10,\n"
    "n2,32000,131072,,,\n";
constexpr const char* kPods =
    "name,owner,cpu_milli,memory_mib,cards,card_milli,card_memory_mib,card_models,arrives_s,leaves_"
    "s\n"
    "p0,ads,4000,8192,1,460,4096,T4|A10,0,60.5\n"
    "p1,,8000,16384,2,,,,10,\n"
    "p2,ocr,1000,2048,0,,,,5,\n";

TEST(ClusterFormat, OwnCsv) {
  const Result<PlanInput> input = ReadCluster({"n.csv", kNodes}, {"p.csv", kPods});
  ASSERT_TRUE(input.ok()) << input.status().ToString();
  EXPECT_EQ(input->node_format, "brim nodes, CSV");
  EXPECT_EQ(input->pod_format, "brim pods, CSV");
  EXPECT_EQ(input->cluster.card_models, (std::vector<std::string>{"T4", "A10"}));
  ASSERT_EQ(input->cluster.nodes.size(), 3u);
  EXPECT_EQ(input->cluster.nodes[0].card_memory_mib, 15360);
  EXPECT_EQ(input->cluster.nodes[1].card_model, 1);
  EXPECT_EQ(input->cluster.nodes[2].card_model, -1);
  EXPECT_EQ(input->cluster.nodes[2].cards, 0);
  ASSERT_EQ(input->pods.size(), 3u);
  EXPECT_EQ(input->pods[0].owner, "ads");
  EXPECT_EQ(input->pods[0].card_models, 3u);
  EXPECT_EQ(input->pods[0].card_milli, 460);
  EXPECT_EQ(input->pods[0].leaves_s, 60.5);
  EXPECT_EQ(input->pods[1].card_milli, 1000);
  EXPECT_EQ(input->pods[1].card_models, 0u);
  EXPECT_EQ(input->pods[1].leaves_s, -1);
  EXPECT_EQ(input->pods[2].card_milli, 0);
  EXPECT_TRUE(input->owner_per_node_max.empty());
  ASSERT_EQ(input->notes.size(), 1u);
  EXPECT_EQ(input->notes[0].substr(0, 6), "1 pods");
}

TEST(ClusterFormat, OwnJsonSaysTheSame) {
  const Result<PlanInput> input = ReadCluster(
      {"n.json", R"({"nodes": [{"name": "n0", "cpu_milli": 64000, "memory_mib": 262144, "cards": 2,
                    "card_model": "T4", "card_memory_mib": 15360}]})"},
      {"p.json",
       R"([{"name": "p0", "owner": "ads", "cpu_milli": 4000, "memory_mib": 8192, "cards": 1,
                      "card_milli": 460, "card_models": ["T4", "H800"], "leaves_s": 60.5}])"});
  ASSERT_TRUE(input.ok()) << input.status().ToString();
  EXPECT_EQ(input->pod_format, "brim pods, JSON");
  EXPECT_EQ(input->cluster.nodes[0].card_memory_mib, 15360);
  EXPECT_EQ(input->pods[0].card_models, 3u);
  EXPECT_EQ(input->pods[0].leaves_s, 60.5);
  EXPECT_EQ(input->notes,
            std::vector<std::string>{"Pods name the card model H800, which no node has."});
}

TEST(ClusterFormat, OpenbTrace) {
  const Result<PlanInput> input = ReadCluster(
      {"n.csv",
       "sn,cpu_milli,memory_mib,gpu,model\nb0,32000,262144,0,\nb1,96000,786432,8,V100M32\n"},
      {"p.csv",
       "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,"
       "deletion_time,scheduled_time\n"
       "a,12000,16384,1,1000,,LS,Running,400,900,400\n"
       "b,6000,12288,1,460,V100M16|V100M32,BE,Running,300,1000,301\n"
       "c,6000,12288,0,0,nan,BE,Pending,500,600,\n"});
  ASSERT_TRUE(input.ok()) << input.status().ToString();
  EXPECT_EQ(input->node_format, "openb_node_list (Alibaba GPU trace 2023), CSV");
  EXPECT_EQ(input->cluster.card_models, (std::vector<std::string>{"V100M32", "V100M16"}));
  EXPECT_EQ(input->pods[0].arrives_s, 100);
  EXPECT_EQ(input->pods[0].leaves_s, 600);
  EXPECT_EQ(input->pods[1].arrives_s, 0);
  EXPECT_EQ(input->pods[1].card_models, 3u);
  EXPECT_EQ(input->pods[2].card_models, 0u);
}

TEST(ClusterFormat, OpenbWithoutTimes) {
  const Result<PlanInput> input =
      ReadPods({"p.csv", "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,12000,16384,8,1000\n"});
  ASSERT_TRUE(input.ok()) << input.status().ToString();
  EXPECT_EQ(input->pods[0].cards, 8);
  EXPECT_EQ(input->pods[0].arrives_s, 0);
  EXPECT_EQ(input->pods[0].leaves_s, -1);
  EXPECT_TRUE(input->notes.empty());
}

TEST(ClusterFormat, SpotNodes) {
  const Result<PlanInput> input = ReadNodes(
      {"n.csv", "gpu_model,gpu_capacity_num,cpu_num,node_name\nA10,1,128,0\nH800,8,192,1\n"});
  ASSERT_TRUE(input.ok()) << input.status().ToString();
  EXPECT_EQ(input->cluster.nodes[1].name, "1");
  EXPECT_EQ(input->cluster.nodes[1].cpu_milli, 192000);
  EXPECT_GT(input->cluster.nodes[1].memory_mib, std::int64_t{1} << 30);
  EXPECT_EQ(input->notes.size(), 1u);
}

TEST(ClusterFormat, DlrmTrace) {
  const Result<PlanInput> input = ReadPods(
      {"p.csv",
       "instance_sn,role,app_name,cpu_request,cpu_limit,gpu_request,gpu_limit,rdma_request,"
       "rdma_limit,memory_request,memory_limit,disk_request,disk_limit,max_instance_per_node,"
       "creation_time,scheduled_time,deletion_time\n"
       "i0,HN,app_0,12,12,1,1,25,25,120.0,120.0,640.0,800.0,8,,,\n"
       "i1,CN,app_1,64,64,0,0,1,1,320.5,320.5,255.0,300.0,-1,1435629.0,1435629.0,1435760.0\n"});
  ASSERT_TRUE(input.ok()) << input.status().ToString();
  EXPECT_EQ(input->pods[0].cpu_milli, 12000);
  EXPECT_EQ(input->pods[0].memory_mib, 120 * 1024);
  EXPECT_TRUE(input->pods[0].whole());
  EXPECT_EQ(input->pods[0].owner, "app_0");
  EXPECT_EQ(input->pods[1].memory_mib, 328192);
  EXPECT_EQ(input->pods[1].leaves_s, 1435760);
  EXPECT_EQ(input->owner_per_node_max, (std::vector<std::int32_t>{8, 0}));
}

std::string PodsError(std::string_view rows) {
  const std::string text =
      "name,cpu_milli,memory_mib,cards,card_milli,card_models\n" + std::string(rows);
  return ReadPods({"p.csv", text}).status().message();
}

TEST(ClusterFormat, WrongPodsAreNamed) {
  EXPECT_EQ(
      PodsError("a,1,1,2,460,\n"),
      "p.csv:2: cards is 2 and card_milli 460, expected card_milli 1000: only one card can be "
      "shared");
  EXPECT_EQ(PodsError("a,1,1,1,1460,\n"),
            "p.csv:2: card_milli is '1460', expected a whole number from 0 to 1000");
  EXPECT_EQ(PodsError("a,1,1,0,460,\n"),
            "p.csv:2: cards is 0 and card_milli 460, expected cards 1 for a share of a card");
  EXPECT_EQ(PodsError("a,1,1,1,0,\n"), "p.csv:2: cards is 1 and card_milli 0, expected 1 to 1000");
  EXPECT_EQ(PodsError("a,1,1,65,,\n"),
            "p.csv:2: cards is '65', expected a whole number from 0 to 64");
  EXPECT_EQ(PodsError("a,-1,1,1,,\n"),
            "p.csv:2: cpu_milli is '-1', expected a whole number from 0 to 1000000000000");
  EXPECT_EQ(PodsError("a,1,1,1,,\nb,1,1,1,,\na,1,1,1,,\n"),
            "p.csv:4: the pod 'a' is in line 2 already, expected every name once");
  EXPECT_EQ(PodsError("a,1,1,1,,T4||A10\n"),
            "p.csv:2: 'T4||A10' has an empty card model, expected names joined by '|'");
  EXPECT_EQ(PodsError(""), "p.csv:2: there are no pods, expected at least one row");
  EXPECT_EQ(ReadPods({"p.csv", "name,cpu_milli,memory_mib,arrives_s,leaves_s\na,1,1,9,8\n"})
                .status()
                .message(),
            "p.csv:2: it leaves at 8 s, before it arrives at 9 s");
}

TEST(ClusterFormat, AnUnknownHeaderListsTheFormats) {
  const Status status = ReadNodes({"n.csv", "id,colour\n1,red\n"}).status();
  EXPECT_EQ(status.reason(), "unknown_format");
  EXPECT_NE(status.message().find("n.csv:1: "), std::string::npos);
  EXPECT_NE(status.message().find("brim nodes: name, cpu_milli, memory_mib"), std::string::npos);
  // One typing error is still that format, so the message is about the one column.
  EXPECT_EQ(ReadNodes({"n.csv", "name,cpu_mili,memory_mib\na,1,1\n"}).status().message(),
            "n.csv:1: unknown column 'cpu_mili': did you mean 'cpu_milli'?");
}

TEST(ClusterFormat, SwappedFilesAreNoticed) {
  EXPECT_EQ(
      ReadCluster({"p.csv", kPods}, {"n.csv", kNodes}).status().message(),
      "p.csv:1: these are the columns of brim pods, expected those of brim nodes: are the two "
      "files swapped?");
}

TEST(ClusterFormat, CardModelsAreBounded) {
  std::string text = "name,cpu_milli,memory_mib,cards,card_model\n";
  for (int i = 0; i < 65; ++i) text += fmt::format("n{},1,1,1,m{}\n", i, i);
  EXPECT_EQ(ReadNodes({"n.csv", text}).status().message(),
            "n.csv:66: 'm64' is one card model more than 64: give fewer models");
}

TEST(Layout, RoundTrip) {
  const Result<PlanInput> input = ReadCluster({"n.csv", kNodes}, {"p.csv", kPods});
  ASSERT_TRUE(input.ok());
  const std::vector<Spot> spots = {{1, 0b100}, {1, 0b1010}, {2, 0}};
  const std::string text = LayoutCsv(*input, spots);
  EXPECT_EQ(text, "pod,node,cards\np0,n1,2\np1,n1,1|3\np2,n2,\n");
  const Result<std::vector<Spot>> back = ReadLayout({"l.csv", text}, *input);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(*back, spots);
  EXPECT_EQ(ReadLayout({"l.csv", "pod,node,cards\np2,n0,\n"}, *input)->front(), Spot{});
}

TEST(Layout, WrongLayoutsAreNamed) {
  const Result<PlanInput> input = ReadCluster({"n.csv", kNodes}, {"p.csv", kPods});
  ASSERT_TRUE(input.ok());
  const auto message = [&](const std::string& row) {
    return ReadLayout({"l.csv", "pod,node,cards\n" + row}, *input).status().message();
  };
  EXPECT_EQ(message("p9,n0,0\n"), "l.csv:2: there is no pod 'p9' in the pods' file");
  EXPECT_EQ(message("p0,n9,0\n"), "l.csv:2: there is no node 'n9' in the nodes' file");
  EXPECT_EQ(message("p0,n0,2\n"),
            "l.csv:2: '2' is no card of node n0, expected indices from 0 to 1 joined by '|'");
  EXPECT_EQ(message("p1,n0,1|1\n"), "l.csv:2: card 1 is named twice");
  EXPECT_EQ(message("p1,n0,1\n"),
            "l.csv:2: pod p1 stands on 1 cards, expected 2: as many as it asks for");
  EXPECT_EQ(message("p0,n0,1\np0,n0,0\n"),
            "l.csv:3: the pod 'p0' is in line 2 already, expected every name once");
}

}  // namespace
}  // namespace brim::planner
