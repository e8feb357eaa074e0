#include "addon/tap_wrap.h"

#include "addon/errors.h"
#include "io/tap.h"

namespace hopsack {
namespace {

Napi::Value Make(const Napi::CallbackInfo& info) {
  try {
    return Napi::Number::New(info.Env(), MakeTap(info[0].As<Napi::String>()).Release());
  } catch (const SystemError& error) {
    throw ToJavaScript(info.Env(), error);
  }
}

void Keep(const Napi::CallbackInfo& info) {
  try {
    KeepTap(info[0].As<Napi::Number>().Int32Value());
  } catch (const SystemError& error) {
    throw ToJavaScript(info.Env(), error);
  }
}

}  // namespace

void InitTap(Napi::Env env, Napi::Object exports) {
  exports.Set("makeTap", Napi::Function::New<Make>(env, "makeTap"));
  exports.Set("keepTap", Napi::Function::New<Keep>(env, "keepTap"));
}

}  // namespace hopsack
