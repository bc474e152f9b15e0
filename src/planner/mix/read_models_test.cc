#include "planner/mix/read_models.h"

#include <gtest/gtest.h>

namespace brim::planner {
namespace {

const MixText kProfiles = {"p.csv",
                           "model,share,batch,latency_ms,throughput\n"
                           "ocr,50,1,10,\nocr,50,4,20,250\nasr,100,1,30,\n"};

TEST(ReadMix, ReadsModelsAndProfiles) {
  const MixText text = {"m.csv",
                        "\xEF\xBB\xBFname,owner,rate,slo_ms,weights_mib,cpu_ms,now\r\nocr,vision,5,"
                        "100,400,,card\r\nasr,,0.5,900,1200,25,\r\n"};
  const Result<std::vector<MixModel>> models = ReadMixModels(text, kProfiles);
  ASSERT_TRUE(models.ok()) << models.status().ToString();
  ASSERT_EQ(models->size(), 2u);
  const MixModel& ocr = models->front();
  EXPECT_EQ(ocr.owner, "vision");
  EXPECT_EQ(ocr.now, Home::kCard);
  EXPECT_EQ(ocr.weights_mib, 400);
  ASSERT_EQ(ocr.points.size(), 2u);
  EXPECT_EQ(ocr.points[0].busy_ms, 10);
  EXPECT_EQ(ocr.points[1].latency_ms, 20);
  EXPECT_EQ(ocr.points[1].busy_ms, 16);  // From the throughput.
  EXPECT_EQ(models->back().cpu_ms, 25);
}

std::string Error(const std::string& models, const std::string& profiles) {
  return ReadMixModels({"m.csv", models}, {"p.csv", profiles}).status().message();
}

TEST(ReadMix, SaysWhereAndWhatIsWrong) {
  EXPECT_NE(Error("name,rate\na,1\n", kProfiles.text).find("slo_ms"), std::string::npos);
  EXPECT_NE(Error("name,rate,slo_ms\na,-1,10\n", kProfiles.text).find("m.csv:2"),
            std::string::npos);
  EXPECT_NE(Error("name,rate,slo_ms\na,x,10\n", kProfiles.text).find("m.csv:2"), std::string::npos);
  EXPECT_NE(Error("name,rate,slo_ms,now\na,1,10,gpu\n", kProfiles.text).find("expected card, cpu"),
            std::string::npos);
  const std::string twice = Error("name,rate,slo_ms\na,1,10\na,1,10\n", kProfiles.text);
  EXPECT_NE(twice.find("m.csv:3"), std::string::npos);
  EXPECT_NE(twice.find("line 2"), std::string::npos);
  const std::string unknown = Error("name,rate,slo_ms\nocr,1,10\n", kProfiles.text);
  EXPECT_NE(unknown.find("p.csv:4"), std::string::npos);
  EXPECT_NE(unknown.find("asr"), std::string::npos);
  EXPECT_NE(
      Error("name,rate,slo_ms\nocr,1,10\nasr,1,10\n", "model,share,batch,latency_ms\nocr,101,1,5\n")
          .find("p.csv:2"),
      std::string::npos);
}

TEST(ReadMix, ReadsRecordedArrivals) {
  const std::vector<MixModel> models =
      *ReadMixModels({"m.csv", "name,rate,slo_ms\nocr,1,10\nasr,1,10\n"}, kProfiles);
  const Result<Arrivals> arrivals =
      ReadMixArrivals({"a.csv", "time_s,model\n2,asr\n0.5,asr\n1,ocr\n"}, models);
  ASSERT_TRUE(arrivals.ok());
  EXPECT_EQ(arrivals->at(1), (std::vector<double>{0.5, 2}));
  EXPECT_NE(ReadMixArrivals({"a.csv", "time_s,model\n2,ocs\n"}, models)
                .status()
                .message()
                .find("did you mean 'ocr'"),
            std::string::npos);
}

ParvaText Parva() {
  const std::string head = "Mig instance,Batch size,Workload Number,Throughput,Latency\n";
  ParvaText text;
  text.profiles = {{"x/prof_data/b.csv",
                    head + "1,1,1,100,0.010\n1,2,2,80.5,0.025\n1,4,5,0,0\n7,8,1,900,0.009\n"},
                   {"x/prof_data/a.csv", head + "1,1,1,50,0.02\n"}};
  text.rates = {"rate.csv", "10,20\nN/A,30"};
  text.latencies = {"slo.csv", "418.5,200\r\nN/A,100\r\n"};
  return text;
}

TEST(ReadParva, ReadsItsFilesAsTheyAre) {
  ParvaChoice choice;
  choice.sets = 2;
  choice.rate_scale = 0.1;
  const Result<std::vector<MixModel>> models = ReadParva(Parva(), choice);
  ASSERT_TRUE(models.ok()) << models.status().ToString();
  ASSERT_EQ(models->size(), 4u);
  EXPECT_EQ((*models)[0].name, "a");
  EXPECT_EQ((*models)[3].name, "b#2");
  EXPECT_EQ((*models)[0].slo_ms, 418);  // Cut, as ParvaGPU reads it.
  EXPECT_NEAR((*models)[0].rate, 1, 1e-12);
  const MixModel& b = (*models)[1];
  ASSERT_EQ(b.points.size(), 3u);  // The one that did not fit the slice is no point.
  EXPECT_EQ(b.points[1].processes, 2);
  EXPECT_NEAR(b.points[1].busy_ms, 2000 / 80.5, 1e-9);
  EXPECT_EQ(b.points[1].latency_ms, 25);
  EXPECT_NEAR(b.weights_mib, 80 * 1024 / 8 / 2, 1e-9);  // Two of them ran in an eighth.

  choice.scenario = 2;
  EXPECT_EQ(ReadParva(Parva(), choice)->size(), 2u);  // "a" is not in it.
  choice.scenario = 3;
  EXPECT_EQ(ReadParva(Parva(), choice).status().reason(), "bad_scenario");
  choice.scenario = 1;
  choice.slices = Slices::kUnits;
  EXPECT_EQ(ReadParva(Parva(), choice)->at(1).points[0].share, 15);  // A seventh, rounded up.
}

TEST(ReadParva, ReadsItsPlacement) {
  const std::vector<MixModel> models = *ReadParva(Parva(), {});
  const MixText placement = {"d.csv",
                             "Num instance,Num GPU,Model,Placement,Instance size,Batch size,Num "
                             "proc\n0,0,b,0,1,2,2\n0,1,a,4,1,1,1\n1,0,b,6,7,8,1\n"};
  const Result<std::vector<Segment>> segments = ReadParvaPlacement(placement, models);
  ASSERT_TRUE(segments.ok()) << segments.status().ToString();
  ASSERT_EQ(segments->size(), 3u);
  EXPECT_EQ((*segments)[2].card, 2);
  EXPECT_EQ((*segments)[0].processes, 2);
  EXPECT_EQ((*segments)[1].tenants[0].model, 0);
}

TEST(ReadMix, ReplacesMemoryInEverySet) {
  ParvaChoice choice;
  choice.sets = 2;
  std::vector<MixModel> models = *ReadParva(Parva(), choice);
  ASSERT_TRUE(ReadMixMemory({"w.csv", "model,weights_mib,load_ms\nb,77,5\n"}, &models).ok());
  EXPECT_EQ(models[1].weights_mib, 77);
  EXPECT_EQ(models[3].load_ms, 5);
  EXPECT_NE(models[0].weights_mib, 77);
}

}  // namespace
}  // namespace brim::planner
