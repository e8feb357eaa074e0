// What the addon exports; src/addon.ts is its declaration.
#include <napi.h>

#include "addon/accelerator_wrap.h"
#include "addon/netlink_wrap.h"
#include "addon/notify_wrap.h"
#include "addon/pump_wrap.h"
#include "addon/tap_wrap.h"
#include "pump/counters.h"

namespace hopsack {
namespace {

Napi::Value CounterNames(Napi::Env env) {
  Napi::Array names = Napi::Array::New(env, kWordCount);
  for (uint32_t i = 0; i < kWordCount; i++) names.Set(i, Napi::String::New(env, kWordNames[i]));
  return names;
}

Napi::Value DropReasons(Napi::Env env) {
  Napi::Array reasons = Napi::Array::New(env, kDropReasonCount);
  for (uint32_t i = 0; i < kDropReasonCount; i++) {
    Napi::Object reason = Napi::Object::New(env);
    reason.Set("name", kDropReasons[i].name);
    reason.Set("help", kDropReasons[i].help);
    reasons.Set(i, reason);
  }
  return reasons;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  InitPump(env, exports);
  InitAccelerator(env, exports);
  InitNetlink(env, exports);
  InitNotify(env, exports);
  InitTap(env, exports);
  exports.Set("counterNames", CounterNames(env));
  exports.Set("dropReasons", DropReasons(env));
  return exports;
}

NODE_API_MODULE(hopsack, Init)

}  // namespace
}  // namespace hopsack
