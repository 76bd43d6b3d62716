// Times training steps of ggml: a ChatGLM3 of 6 layers, 384 wide, with a
// vocabulary of 8192, forward, backward and AdamW by ggml_opt, in float32. As
// ggml cannot differentiate grouped heads, every query head has a key and a value
// head of its own; queries, keys and values are apart, gate and up too.
//
//   ggml_step BATCH LENGTH STEPS THREADS
//
// The last line it prints is {"seconds":[…],"loss":[first, last]}; the first step
// is not among the seconds.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml-opt.h"
#include "ggml.h"

namespace {

constexpr int layers = 6, hidden = 384, heads = 6, width = hidden / heads, ffn = 1024, vocabulary = 8192;

struct block {
	ggml_tensor *norm1, *q, *k, *v, *bias_q, *bias_k, *bias_v, *dense, *norm2, *gate, *up, *down;
};

struct network {
	ggml_context *weights, *graph;
	std::vector<ggml_tensor *> all;
	ggml_tensor *ids, *positions, *embedding, *final_norm, *output;
	std::vector<block> blocks;

	ggml_tensor *param(int64_t in, int64_t out = 1) {
		ggml_tensor *t = out == 1 ? ggml_new_tensor_1d(weights, GGML_TYPE_F32, in) : ggml_new_tensor_2d(weights, GGML_TYPE_F32, in, out);
		ggml_set_param(t);
		all.push_back(t);
		return t;
	}

	void declare(int tokens, int length) {
		ids = ggml_new_tensor_1d(weights, GGML_TYPE_I32, tokens);
		ggml_set_input(ids);
		positions = ggml_new_tensor_1d(weights, GGML_TYPE_I32, length);
		ggml_set_input(positions);
		embedding = param(hidden, vocabulary);
		for (int i = 0; i < layers; i++)
			blocks.push_back({param(hidden), param(hidden, hidden), param(hidden, hidden), param(hidden, hidden),
			                  param(hidden), param(hidden), param(hidden), param(hidden, hidden),
			                  param(hidden), param(hidden, ffn), param(hidden, ffn), param(ffn, hidden)});
		final_norm = param(hidden);
		output = param(hidden, vocabulary);
	}

	ggml_tensor *norm(ggml_tensor *x, ggml_tensor *w) { return ggml_mul(graph, ggml_rms_norm(graph, x, 1e-5f), w); }

	// projected is a linear layer's output as [width, heads, length, batch].
	ggml_tensor *projected(ggml_tensor *x, ggml_tensor *w, ggml_tensor *bias, int batch, int length) {
		ggml_tensor *y = ggml_add(graph, ggml_mul_mat(graph, w, x), bias);
		return ggml_reshape_4d(graph, y, width, heads, length, batch);
	}

	ggml_tensor *attention(const block &b, ggml_tensor *x, int batch, int length) {
		ggml_tensor *q = ggml_rope(graph, projected(x, b.q, b.bias_q, batch, length), positions, width / 2, GGML_ROPE_TYPE_NORMAL);
		ggml_tensor *k = ggml_rope(graph, projected(x, b.k, b.bias_k, batch, length), positions, width / 2, GGML_ROPE_TYPE_NORMAL);
		ggml_tensor *v = projected(x, b.v, b.bias_v, batch, length);
		q = ggml_cont(graph, ggml_permute(graph, q, 0, 2, 1, 3)); // [width, length, heads, batch]
		k = ggml_cont(graph, ggml_permute(graph, k, 0, 2, 1, 3));
		v = ggml_cont(graph, ggml_permute(graph, v, 1, 2, 0, 3)); // [length, width, heads, batch]
		ggml_tensor *scores = ggml_scale(graph, ggml_mul_mat(graph, k, q), 1 / std::sqrt(float(width)));
		ggml_tensor *o = ggml_mul_mat(graph, v, ggml_soft_max(graph, ggml_diag_mask_inf(graph, scores, 0)));
		o = ggml_cont(graph, ggml_permute(graph, o, 0, 2, 1, 3));
		return ggml_mul_mat(graph, b.dense, ggml_reshape_2d(graph, o, hidden, int64_t(length) * batch));
	}

	ggml_tensor *logits(int batch, int length) {
		ggml_tensor *x = ggml_get_rows(graph, embedding, ids);
		for (const block &b : blocks) {
			x = ggml_add(graph, x, attention(b, norm(x, b.norm1), batch, length));
			ggml_tensor *n = norm(x, b.norm2);
			ggml_tensor *z = ggml_swiglu_split(graph, ggml_mul_mat(graph, b.gate, n), ggml_mul_mat(graph, b.up, n));
			x = ggml_add(graph, x, ggml_mul_mat(graph, b.down, z));
		}
		return ggml_mul_mat(graph, output, norm(x, final_norm));
	}
};

ggml_context *context(size_t tensors) {
	return ggml_init({tensors * ggml_tensor_overhead() + 3 * ggml_graph_overhead_custom(8192, true), nullptr, true});
}

} // namespace

int main(int argc, char **argv) {
	if (argc != 5) {
		std::fprintf(stderr, "usage: ggml_step BATCH LENGTH STEPS THREADS\n");
		return 2;
	}
	const int batch = std::atoi(argv[1]), length = std::atoi(argv[2]), steps = std::atoi(argv[3]), tokens = batch * length;
	ggml_backend_t backend = ggml_backend_cpu_init();
	ggml_backend_cpu_set_n_threads(backend, std::atoi(argv[4]));
	ggml_backend_sched_t sched = ggml_backend_sched_new(&backend, nullptr, 1, 16384, false, true);

	network net{context(256), context(16384), {}, {}, {}, {}, {}, {}, {}};
	net.declare(tokens, length);
	ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(net.weights, backend);
	std::mt19937 random(1);
	std::normal_distribution<float> normal(0, 0.02f);
	for (ggml_tensor *t : net.all) {
		std::vector<float> x(ggml_nelements(t), 1.0f);
		if (t->ne[1] > 1)
			for (float &v : x) v = normal(random);
		ggml_backend_tensor_set(t, x.data(), 0, ggml_nbytes(t));
	}

	ggml_opt_params params = ggml_opt_default_params(sched, GGML_OPT_LOSS_TYPE_CROSS_ENTROPY);
	params.ctx_compute = net.graph;
	params.inputs = net.ids;
	params.outputs = net.logits(batch, length);
	ggml_opt_context_t opt = ggml_opt_init(params);
	ggml_opt_result_t result = ggml_opt_result_init();

	std::vector<int32_t> ids(tokens), positions(length);
	std::vector<float> labels(size_t(tokens) * vocabulary);
	for (int i = 0; i < tokens; i++) {
		ids[i] = int32_t(random() % vocabulary);
		labels[size_t(i) * vocabulary + random() % vocabulary] = 1;
	}
	for (int i = 0; i < length; i++) positions[i] = i;

	std::vector<double> seconds;
	double first = 0, last = 0;
	for (int s = 0; s <= steps; s++) {
		ggml_opt_alloc(opt, true);
		ggml_backend_tensor_set(net.ids, ids.data(), 0, ggml_nbytes(net.ids));
		ggml_backend_tensor_set(net.positions, positions.data(), 0, ggml_nbytes(net.positions));
		ggml_backend_tensor_set(ggml_opt_labels(opt), labels.data(), 0, labels.size() * sizeof(float));
		auto began = std::chrono::steady_clock::now();
		ggml_opt_result_reset(result);
		ggml_opt_eval(opt, result);
		seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
		ggml_opt_result_loss(result, &last, nullptr);
		if (s == 0) first = last;
	}
	std::printf("{\"seconds\":[");
	for (int s = 1; s <= steps; s++) std::printf("%s%g", s > 1 ? "," : "", seconds[s]);
	std::printf("],\"loss\":[%g,%g]}\n", first, last);
	ggml_opt_result_free(result);
	ggml_opt_free(opt);
	ggml_backend_sched_free(sched);
	ggml_backend_buffer_free(buffer);
	ggml_free(net.graph);
	ggml_free(net.weights);
	ggml_backend_free(backend);
	return 0;
}
