// Every operation of the contract: its tensors by role, its attributes, what it computes. All engines implement these;
// test/ops runs each of them, with its gradient, on every engine present.
//
// Activations are [N, X, Y, Z, C], convolution weights (out, in, kx, ky, kz), transposed ones (in, out, kx, ky, kz),
// and parameters, statistics and gradients of parameters are float32, dense, in that order. Activations may be float32
// or bfloat16, in any layout the engine likes. Roles ending in ? may be left out; those ending in * hold any number.
// Every gradient is of the scalar loss: "dy" stands for dLoss/dy.
#pragma once
#include "engine/operation.h"

namespace semgen {

struct OperationSpec {
  const char *name, *inputs, *outputs, *attributes;
};

inline constexpr OperationSpec operationSpecs[] = {
    // y = conv(x concatenated with skip along channels, weight) + bias. Cross-correlation, zero padding.
    {"conv3d", "x skip? weight bias?", "y", "stride padding"},
    {"conv3d_grad", "x skip? weight dy", "dx? dskip? dweight dbias?", "stride padding"},
    // y = transposed convolution of x: extents (in - 1) * stride - 2 * padding + kernel.
    {"conv_transpose3d", "x weight bias?", "y", "stride padding"},
    {"conv_transpose3d_grad", "x weight dy", "dx? dweight dbias?", "stride padding"},

    // The conv unit: z = conv3d(x, skip) + bias, y = relu(gamma * (z - mean) / sqrt(variance + epsilon) + beta).
    // statistics "batch": mean and biased variance of z over N, X, Y, Z; "running": the running ones.
    // update: running = (1 - momentum) * running + momentum * batch (unbiased variance), as PyTorch's BatchNorm3d.
    // z (without the bias, which batch statistics cancel), mean, rstd and mask are kept for the gradient.
    {"conv_unit", "x skip? weight bias gamma beta running_mean running_variance", "y z mean variance mask",
     "stride padding statistics epsilon momentum update"},
    {"conv_unit_grad", "x skip? weight gamma beta z mean variance mask dy", "dx? dskip? dweight dbias dgamma dbeta",
     "stride padding statistics epsilon"},
    // The decoder's first unit: conv_unit(concatenation of conv_transpose3d(x, up_weight, k2 s2) + up_bias, and skip).
    // decoder "two-step" computes it so; "composed" folds the transposed convolution and the convolution over its
    // channels into one k4 s2 p1 transposed convolution with a border-aware bias; "auto" takes the cheaper. "up", where
    // it is given, keeps for the gradient what the engine likes: the upsampled tensor, or composed weights.
    {"up_unit", "x skip up_weight up_bias weight bias gamma beta running_mean running_variance",
     "y z up? mean variance mask", "statistics epsilon momentum update decoder"},
    {"up_unit_grad", "x skip up_weight up_bias weight gamma beta z up? mean variance mask dy",
     "dx? dskip? dup_weight dup_bias dweight dbias dgamma dbeta", "statistics epsilon decoder"},

    // Largest of each window; the mask tells the gradient which.
    {"max_pool", "x", "y mask", "kernel stride"},
    {"max_pool_grad", "mask dy", "dx", "kernel stride"},
    {"avg_pool", "x", "y", "kernel stride"},
    {"avg_pool_grad", "dy", "dx", "kernel stride"},
    // Mean over X, Y, Z: [N, X, Y, Z, C] -> [N, C].
    {"global_avg_pool", "x", "y", ""},
    {"global_avg_pool_grad", "dy", "dx", ""},
    // To the extents of y, voxel centres half a voxel from the border. method "nearest": the voxel that holds the
    // centre (PyTorch's "nearest-exact"); "linear": trilinear, as PyTorch's align_corners=False.
    {"resize", "x", "y", "method"},
    {"resize_grad", "dy", "dx", "method"},

    // y[n, o] = sum_i x[n, i] weight[o, i] + bias[o].
    {"linear", "x weight bias", "y", ""},
    {"linear_grad", "x weight dy", "dx? dweight dbias", ""},
    {"sigmoid", "x", "y", ""},
    {"sigmoid_grad", "y dy", "dx", ""},
    {"add", "a b", "y", ""},
    {"cast", "x", "y", ""},

    // Losses: the mean, times weight, added to nothing; value [1] and gradient of the weighted value in one pass.
    // mean((sigmoid(logits) - target)^2); output = sigmoid(logits).
    {"sigmoid_mse", "logits target", "loss output? dlogits?", "weight"},
    {"mse", "x target", "loss dx?", "weight"},
    // Mean over all positions of logsumexp(logits) - logits[label]; correct = how many have their label on top.
    {"softmax_cross_entropy", "logits labels", "loss correct? dlogits?", "weight"},
    // Mean of max(l, 0) - l t + log(1 + exp(-|l|)).
    {"bce_with_logits", "logits target", "loss dlogits?", "weight"},
    // 1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth) with p = sigmoid(logits), over the whole batch.
    {"dice", "logits target", "loss dlogits?", "weight smooth"},

    // Optimizers change parameters and their own state in place; norm = [L2 norm of all gradients, 1 if all are finite
    // else 0]. hyper = [learning rate, beta1, beta2, epsilon, weight decay]; step is counted up by one. PyTorch's Adam
    // (L2 decay).
    {"adam", "parameters* gradients* hyper", "moments1* moments2* step norm", ""},
    // hyper = [learning rate, momentum, weight decay]. PyTorch's SGD.
    {"sgd", "parameters* gradients* hyper", "velocities* norm", ""},

    // The k points nearest to each query by L2, nearest first, ties by lower index.
    // queries [Q, W], points [P, W] -> indices [Q, k] i32, distances [Q, k].
    {"nearest", "queries points", "indices distances", ""},
};

/// Throws Error NATIVE when the operation is unknown, or a role or attribute is missing or not in its spec.
void checkOperation(const Operation &operation);

}  // namespace semgen
