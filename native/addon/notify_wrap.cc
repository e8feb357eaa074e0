#include "addon/notify_wrap.h"

#include "addon/errors.h"
#include "io/notify_socket.h"

namespace hopsack {
namespace {

class NotifySocketWrap : public Napi::ObjectWrap<NotifySocketWrap> {
 public:
  static void Init(Napi::Env env, Napi::Object exports) {
    exports.Set("NotifySocket", DefineClass(env, "NotifySocket",
                                            {
                                                InstanceMethod<&NotifySocketWrap::Receive>("receive"),
                                                InstanceMethod<&NotifySocketWrap::Close>("close"),
                                            }));
  }

  explicit NotifySocketWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NotifySocketWrap>(info) {
    try {
      socket_.emplace(info[0].As<Napi::String>());
    } catch (const SystemError& error) {
      throw ToJavaScript(info.Env(), error);
    }
  }

 private:
  Napi::Value Receive(const Napi::CallbackInfo& info) {
    if (!socket_.has_value()) return info.Env().Null();
    try {
      return ToObject(info.Env(), socket_->Receive());
    } catch (const SystemError& error) {
      throw ToJavaScript(info.Env(), error);
    }
  }

  static Napi::Value ToObject(Napi::Env env, std::optional<NotifySocket::Notification> notification) {
    if (!notification.has_value()) return env.Null();
    Napi::Object result = Napi::Object::New(env);
    result.Set("text", Napi::String::New(env, notification->text));
    Napi::Array fds = Napi::Array::New(env, notification->fds.size());
    for (uint32_t i = 0; i < notification->fds.size(); i++) {
      fds.Set(i, Napi::Number::New(env, notification->fds[i].Release()));  // JavaScript's from here on
    }
    result.Set("fds", fds);
    return result;
  }

  void Close(const Napi::CallbackInfo&) { socket_.reset(); }

  std::optional<NotifySocket> socket_;
};

void Send(const Napi::CallbackInfo& info) {
  std::vector<int> fds;
  const auto given = info[2].As<Napi::Array>();
  for (uint32_t i = 0; i < given.Length(); i++) fds.push_back(given.Get(i).As<Napi::Number>().Int32Value());
  try {
    SendNotification(info[0].As<Napi::String>(), info[1].As<Napi::String>(), fds);
  } catch (const SystemError& error) {
    throw ToJavaScript(info.Env(), error);
  }
}

}  // namespace

void InitNotify(Napi::Env env, Napi::Object exports) {
  NotifySocketWrap::Init(env, exports);
  exports.Set("sendNotification", Napi::Function::New<Send>(env, "sendNotification"));
}

}  // namespace hopsack
