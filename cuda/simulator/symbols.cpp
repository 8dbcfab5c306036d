#include "cuda/simulator/symbols.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

extern char **environ;

namespace semgen::simulator {

namespace {

/// What a program prints; empty if it cannot be run.
std::string outputOf(std::vector<std::string> words) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return "";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  std::vector<char *> arguments;
  for (std::string &word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  int status = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string text;
  if (status == 0) {
    char buffer[4096];
    for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, size_t(got));
    waitpid(child, &status, 0);
  }
  close(ends[0]);
  return text;
}

/// "void semgen::cuda::(anonymous namespace)::conv<64>(float*)" -> "conv<64>".
std::string shortName(std::string name) {
  if (name.empty() || name[0] == '?') return "";
  for (const char *noise : {"(anonymous namespace)::", "semgen::cuda::", "semgen::"})
    for (size_t at; (at = name.find(noise)) != std::string::npos;) name.erase(at, std::string(noise).size());
  int depth = 0;
  size_t end = name.size(), start = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++depth;
    if (name[i] == '>') --depth;
    if (depth != 0) continue;
    if (name[i] == '(') {
      end = i;
      break;
    }
    if (name[i] == ' ' || name[i] == ':') start = i + 1;
  }
  return name.substr(start, end - start);
}

}  // namespace

std::string shortPath(const std::string &path) {
  for (const char *room : {"/cuda/", "/test/", "/bench/"}) {
    size_t at = path.rfind(room);
    if (at != std::string::npos) return path.substr(at + 1);
  }
  return path.substr(path.rfind('/') + 1);
}

std::vector<Place> locate(const std::vector<uintptr_t> &addresses) {
  std::vector<Place> places(addresses.size());
  // All addresses are in the simulator's own module, kernels included.
  Dl_info module;
  link_map *map = nullptr;
  if (addresses.empty() ||
      dladdr1(reinterpret_cast<void *>(addresses[0]), &module, reinterpret_cast<void **>(&map), RTLD_DL_LINKMAP) == 0)
    return places;
  std::string file = map->l_name[0] == '\0' ? "/proc/self/exe" : map->l_name;
  if (file == "/proc/self/exe") {
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path);
    if (length > 0) file.assign(path, size_t(length));
  }
  std::vector<std::string> words = {"addr2line", "-f", "-C", "-e", file};
  for (uintptr_t address : addresses) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%zx", size_t(address - map->l_addr));
    words.push_back(text);
  }
  std::istringstream lines(outputOf(words));
  for (Place &place : places) {
    std::string name, at;
    if (!std::getline(lines, name) || !std::getline(lines, at)) break;
    place.function = shortName(name);
    size_t colon = at.rfind(':');
    if (colon == std::string::npos || at[0] == '?') continue;
    place.file = shortPath(at.substr(0, colon));
    place.line = unsigned(std::strtoul(at.c_str() + colon + 1, nullptr, 10));
  }
  return places;
}

}  // namespace semgen::simulator
