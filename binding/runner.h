// One thread an engine on which programs run, in the order they were asked for: OpenMP keeps its workers by the thread
// that calls it, and JavaScript never waits.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "binding/leaving.h"

namespace semgen::binding {

class Runner {
 public:
  Runner() : thread_([this] { serve(); }) {}
  ~Runner() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  void post(std::function<void()> job) {
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back({std::move(job), std::make_unique<UnderWay>()});
    }
    wake_.notify_one();
  }

 private:
  void serve() {
    for (;;) {
      Job job;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job.run();
    }
  }
  struct Job {
    std::function<void()> run;
    std::unique_ptr<UnderWay> underWay;
  };
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::thread thread_;  // last: it starts when everything else is ready
};

}  // namespace semgen::binding
