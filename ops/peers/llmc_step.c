// Times training steps of llm.c's CPU reference: a GPT-2 of 6 layers, 384 wide,
// with a vocabulary of 8192, forward, backward and AdamW.
//
//   gcc -Ofast -march=native -fopenmp -DTESTING -I LLMC llmc_step.c -lm -o llmc_step
//   llmc_step BATCH LENGTH STEPS SCRATCH_FILE
//
// The last line it prints is {"seconds":[…]}, the first step left out. GPT-2 has
// 9 % more operations a token than the ChatGLM3 of the same size.
#include "train_gpt2.c"

enum { LAYERS = 6, HEADS = 6, CHANNELS = 384, VOCABULARY = 8192 };

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

// write_checkpoint writes a random model in the layout that llm.c reads.
static void write_checkpoint(const char *path, int length) {
	GPT2Config c = {.max_seq_len = length, .vocab_size = VOCABULARY, .padded_vocab_size = VOCABULARY,
	                .num_layers = LAYERS, .num_heads = HEADS, .channels = CHANNELS};
	int header[256] = {20240326, 3, length, VOCABULARY, LAYERS, HEADS, CHANNELS, VOCABULARY};
	size_t sizes[NUM_PARAMETER_TENSORS];
	fill_in_parameter_sizes(sizes, c);
	FILE *f = fopenCheck(path, "wb");
	fwrite(header, sizeof(int), 256, f);
	for (int i = 0; i < NUM_PARAMETER_TENSORS; i++)
		for (size_t k = 0; k < sizes[i]; k++) {
			float x = (rand() / (float)RAND_MAX - 0.5f) * 0.07f;
			fwrite(&x, sizeof x, 1, f);
		}
	fcloseCheck(f);
}

int main(int argc, char **argv) {
	if (argc != 5) {
		fprintf(stderr, "usage: llmc_step BATCH LENGTH STEPS SCRATCH_FILE\n");
		return 2;
	}
	int batch = atoi(argv[1]), length = atoi(argv[2]), steps = atoi(argv[3]);
	write_checkpoint(argv[4], length);
	GPT2 model;
	gpt2_build_from_checkpoint(&model, argv[4]);
	int n = batch * length, *ids = malloc(2 * n * sizeof(int)), *targets = ids + n;
	for (int i = 0; i < 2 * n; i++) ids[i] = rand() % VOCABULARY;
	double seconds[steps + 1];
	for (int s = 0; s <= steps; s++) {
		double began = now();
		gpt2_forward(&model, ids, targets, batch, length);
		gpt2_zero_grad(&model);
		gpt2_backward(&model);
		gpt2_update(&model, 5e-5f, 0.9f, 0.999f, 1e-8f, 0.0f, s + 1);
		seconds[s] = now() - began;
	}
	printf("{\"seconds\":[");
	for (int s = 1; s <= steps; s++) printf("%s%g", s > 1 ? "," : "", seconds[s]);
	printf("]}\n");
	gpt2_free(&model);
	free(ids);
	return 0;
}
