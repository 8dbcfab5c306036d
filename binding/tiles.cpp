// Tables of tile shapes from JavaScript, and the tuner that tries them as a JavaScript class.
#include "binding/tiles.h"

#include "binding/async.h"
#include "binding/objects.h"
#include "binding/rooms.h"

namespace semgen::binding {

namespace {

constexpr std::pair<Way, const char *> ways[] = {
    {Way::runs, "runs"}, {Way::bricks, "bricks"}, {Way::oneChannel, "one-channel"}};

TileChoice choiceFrom(const Napi::Value &value) {
  auto given = value.As<Napi::Object>();
  std::string name = given.Get("way").ToString();
  TileChoice choice;
  choice.columns = given.Get("columns").ToNumber().Int32Value();
  choice.splits = given.Get("splits").ToNumber().Int32Value();
  for (auto [way, word] : ways)
    if (name == word) {
      choice.way = way;
      return choice;
    }
  throw Error("NATIVE", "A convolution goes by runs, bricks or one-channel, not \"" + name + "\".");
}

Napi::Object toObject(Napi::Env env, const TileChoice &choice) {
  auto object = Napi::Object::New(env);
  for (auto [way, word] : ways)
    if (choice.way == way) object.Set("way", word);
  object.Set("columns", choice.columns);
  object.Set("splits", choice.splits);
  return object;
}

class TunerObject : public Napi::ObjectWrap<TunerObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "TileTuner",
        {InstanceMethod("requests", &TunerObject::requests), InstanceMethod("begin", &TunerObject::begin),
         InstanceMethod("trial", &TunerObject::trial), InstanceMethod("end", &TunerObject::end)});
  }
  explicit TunerObject(const Napi::CallbackInfo &info) : ObjectWrap(info) {
    guarded(info.Env(), [&] {
      engine_ = engineOf(info[0]);
      if (!engine_->tuner()) throw Error("UNSUPPORTED", "This engine's library chooses how convolutions are computed.");
    });
  }

 private:
  Napi::Value requests(const Napi::CallbackInfo &info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      Napi::Env env = info.Env();
      auto all = engine_->tuner()->requests();
      auto list = Napi::Array::New(env, all.size());
      for (size_t i = 0; i < all.size(); ++i) {
        auto request = Napi::Object::New(env);
        request.Set("key", all[i].key);
        request.Set("uses", all[i].uses);
        request.Set("chosen", toObject(env, all[i].chosen));
        auto possible = Napi::Array::New(env, all[i].possible.size());
        for (size_t k = 0; k < all[i].possible.size(); ++k)
          possible.Set(uint32_t(k), toObject(env, all[i].possible[k]));
        request.Set("possible", possible);
        list.Set(uint32_t(i), request);
      }
      return list;
    });
  }
  void begin(const Napi::CallbackInfo &info) {
    guarded(info.Env(), [&] { engine_->tuner()->begin(info[0].ToString()); });
  }
  Napi::Value trial(const Napi::CallbackInfo &info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      Napi::Env env = info.Env();
      TileTrial found = engine_->tuner()->trial(choiceFrom(info[0]), info[1].ToNumber().Int32Value());
      auto seconds = Napi::Array::New(env, found.seconds.size());
      for (size_t i = 0; i < found.seconds.size(); ++i) seconds.Set(uint32_t(i), found.seconds[i]);
      auto result = Napi::Object::New(env);
      result.Set("seconds", seconds);
      result.Set("error", found.error);
      result.Set("tolerance", found.tolerance);
      return result;
    });
  }
  void end(const Napi::CallbackInfo &info) {
    guarded(info.Env(), [&] { engine_->tuner()->end(); });
  }

  std::shared_ptr<Engine> engine_;
};

}  // namespace

TileTable tilesFrom(const Napi::Value &value) {
  TileTable table;
  if (!value.IsObject()) return table;
  auto object = value.As<Napi::Object>();
  auto keys = object.GetPropertyNames();
  for (uint32_t i = 0; i < keys.Length(); ++i) {
    std::string key = keys.Get(i).ToString();
    table[key] = choiceFrom(object.Get(key));
  }
  return table;
}

void registerTiles(Napi::Env env, Napi::Object exports) { exports.Set("TileTuner", TunerObject::define(env)); }

}  // namespace semgen::binding
