// Starts a thread that receives no signals: they belong to Node.js's own threads.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <thread>
#include <utility>

#include "io/system_error.h"

namespace hopsack {

/** @throws SystemError: EAGAIN at a limit on threads */
template <typename Body>
std::thread StartThread(Body body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread thread(std::move(body));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw SystemError("pthread_create", error.code().value());
  }
}

}  // namespace hopsack
