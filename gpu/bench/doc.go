// Package bench measures the engine as it is used: [Train] takes whole
// optimizer steps of finetune.Run, [Generate] lets a model answer, and the
// package peak finds what the machine could do at best.
//
// Every figure comes from the code that users run, on models with random
// weights: how long a product takes does not depend on the numbers in it.
package bench
