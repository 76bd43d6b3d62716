// Package metrics measures answers and compares two models on them.
//
// [BLEU4] and [Rouge] score one answer against one reference, both already cut
// into tokens, with the formulas that ChatGLM3's own fine-tuning scripts use
// (NLTK's sentence BLEU with smoothing method 3, and rouge_chinese), so that
// numbers can be laid beside published ones. How text is cut is a choice of its
// own: [Characters] is quick and needs no dictionary, [NewWords] cuts Chinese
// into words in the manner of jieba.
//
// [Compare] turns per-conversation measurements of two models into two numbers
// and the interval of their difference, by a paired bootstrap.
//
// Everything is a pure function of its arguments.
package metrics
