/* Runs a libFuzzer target over the files of a corpus directory: how `make test` replays every corpus without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f) return 0;
  uint8_t *data = NULL;
  size_t size = 0;
  for (;;) {
    uint8_t *grown = realloc(data, size + 4096);
    if (!grown) abort();
    data = grown;
    size_t n = fread(data + size, 1, 4096, f);
    size += n;
    if (n < 4096) break;
  }
  fclose(f);
  uint8_t *exact = malloc(size ? size : 1); /* exact size, so that ASan sees a read past the end */
  if (!exact) abort();
  memcpy(exact, data, size);
  LLVMFuzzerTestOneInput(exact, size);
  free(exact);
  free(data);
  return 1;
}

int main(int argc, char **argv) {
  int files = 0;
  for (int i = 1; i < argc; i++) {
    DIR *d = opendir(argv[i]);
    if (!d) {
      fprintf(stderr, "%s: no such corpus\n", argv[i]);
      return 1;
    }
    for (struct dirent *e; (e = readdir(d));) {
      char path[4096];
      if (e->d_name[0] == '.') continue;
      snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
      files += run_file(path);
    }
    closedir(d);
  }
  printf("%d inputs\n", files);
  return files > 0 ? 0 : 1;
}
