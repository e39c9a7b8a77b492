/* tandem_sim [--seed N] [--seeds N] [--seconds S] [--jobs N] [--verbose]: runs seeds, each in a process of its own, and says how
 * many events there were and what was never seen. Exit 1: a checker found something, and `--seed` shows it again. */
#include "base/mutation.h"
#include "disk.h"
#include "sim.h"
#include "zone/zone_set.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOBS_MAX = 64 };

struct options {
  uint64_t seed, seeds;
  unsigned jobs, seconds;
  bool verbose, quiet;
  bool until_found; /* ends with the first seed that fails, which is then what was wanted */
};

struct result {
  uint64_t hash, events;
};

struct job {
  pid_t pid; /* 0: free */
  uint64_t seed;
  char root[64];
};

static struct result *results; /* by job, shared */
static struct job jobs[JOBS_MAX];
static struct { uint64_t done, failed, events; } total;

/* ---- one seed ---- */

static void run_seed(uint64_t seed, const char *root, bool verbose, struct result *out) {
  sim_begin(seed, verbose);
  vfs_begin();
  zone_reader_register();
  seen_begin();
  net_begin();
  check_begin();
  odd_begin();
  client_begin();
  asker_begin();
  nodes_begin(root);
  plan_run(root);
  *out = (struct result){sim_hash(), sim_events()};
  nodes_end();
  client_end();
  asker_end();
  net_end();
  odd_end();
  check_end();
  grace_run();
  zone_reader_unregister();
}

/* ---- many ---- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
  return remove(path);
}

static void start_job(struct job *j, uint64_t seed, const struct options *o) {
  snprintf(j->root, sizeof j->root, "%s/tandem-sim-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
  if (!mkdtemp(j->root)) {
    perror(j->root);
    exit(1);
  }
  fflush(stdout);
  j->seed = seed;
  results[j - jobs] = (struct result){0};
  j->pid = fork();
  if (j->pid) return;
  run_seed(seed, j->root, o->verbose, &results[j - jobs]);
  exit(0);
}

static void end_job(const struct options *o) {
  int status;
  pid_t pid = wait(&status);
  struct job *j = jobs;
  while (j < jobs + JOBS_MAX && j->pid != pid)
    j++;
  if (pid <= 0 || j == jobs + JOBS_MAX) return;
  const struct result *r = &results[j - jobs];
  bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  total.done++;
  total.failed += !good;
  total.events += r->events;
  if (!good)
    printf("seed %llu: %s %d\n", (unsigned long long)j->seed, WIFEXITED(status) ? "failed, exit" : "killed by signal",
           WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  else if (!o->quiet)
    printf("seed %llu: %llu events, trace %016llx\n", (unsigned long long)j->seed, (unsigned long long)r->events,
           (unsigned long long)r->hash);
  nftw(j->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
  j->pid = 0;
}

static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_all(const struct options *o) {
  double begun = seconds_now();
  unsigned running = 0;
  for (uint64_t i = 0; i < o->seeds && !(o->until_found && total.failed) && (!o->seconds || seconds_now() - begun < o->seconds);) {
    if (running == o->jobs) {
      end_job(o);
      running--;
      continue;
    }
    struct job *j = jobs;
    while (j->pid)
      j++;
    start_job(j, o->seed + i++, o);
    running++;
  }
  for (; running; running--)
    end_job(o);
  double took = seconds_now() - begun;
  printf("%llu seeds, %llu failed, %llu events, %.0f events/s\n", (unsigned long long)total.done, (unsigned long long)total.failed,
         (unsigned long long)total.events, (double)total.events / took);
}

static void say_seen(bool all) {
  const char *const *names;
  size_t count = seen_names(&names), missing = 0, known = 0;
  for (size_t i = 0; i < count; i++) {
    if (!names[i]) continue;
    known++;
    missing += !seen->counts[i];
    if (all && seen->counts[i]) printf("%10llu  %s\n", (unsigned long long)seen->counts[i], names[i]);
  }
  printf("transitions: %zu of %zu seen; not seen:", known - missing, known);
  for (size_t i = 0; i < count; i++)
    if (names[i] && !seen->counts[i]) printf(" [%s]", names[i]);
  printf("\n");
}

static uint64_t number(const char *text) {
  return text ? strtoull(text, NULL, 10) : 0;
}

#ifdef TANDEM_MUTATIONS
static const char *const mutations[] = {
    "NONE",
#define MUTATION_ROW(id, doc) #id,
#include "base/mutations.def"
#undef MUTATION_ROW
};

static bool mutate(const char *id) {
  for (size_t i = 0; id && i < MUTATIONS; i++) {
    if (strcmp(mutations[i], id) != 0) continue;
    mutation_on = (enum mutation)i;
    return true;
  }
  return false;
}
#else
static bool mutate(const char *id) {
  return false; /* this build has none */
}
#endif

int main(int argc, char **argv) {
  struct options o = {.seed = 1, .seeds = 1, .jobs = 1};
  bool all = false;
  for (int i = 1; i < argc; i++) {
    const char *next = i + 1 < argc ? argv[i + 1] : NULL;
    if (!strcmp(argv[i], "--verbose")) o.verbose = true;
    else if (!strcmp(argv[i], "--quiet")) o.quiet = true;
    else if (!strcmp(argv[i], "--seen")) all = true;
    else if (!strcmp(argv[i], "--seed")) o.seed = number(next), i++;
    else if (!strcmp(argv[i], "--seeds")) o.seeds = number(next), i++;
    else if (!strcmp(argv[i], "--seconds")) o.seconds = (unsigned)number(next), o.seeds = UINT64_MAX, i++;
    else if (!strcmp(argv[i], "--jobs")) o.jobs = (unsigned)number(next), i++;
    else if (!strcmp(argv[i], "--until-found")) o.until_found = true;
    else if (!strcmp(argv[i], "--mutation") && mutate(next)) i++;
    else {
      fprintf(stderr, "usage: tandem_sim [--seed N] [--seeds N | --seconds S] [--jobs N] [--seen] [--quiet] [--verbose]\n"
                      "       [--until-found] [--mutation ID]\n");
      return 2;
    }
  }
  if (!o.jobs || o.jobs > JOBS_MAX) o.jobs = 1;
  struct rlimit limit = {4096, 4096};
  setrlimit(RLIMIT_NOFILE, &limit);
  results = mmap(NULL, JOBS_MAX * sizeof *results, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (results == MAP_FAILED) return 1;
  seen_begin();
  run_all(&o);
  if (!o.until_found) say_seen(all);
  return (total.failed > 0) != o.until_found;
}
