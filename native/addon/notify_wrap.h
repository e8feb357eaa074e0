// NotifySocket and SendNotification for JavaScript; declared in src/addon.ts.
#pragma once

#include <napi.h>

namespace hopsack {

void InitNotify(Napi::Env env, Napi::Object exports);

}  // namespace hopsack
