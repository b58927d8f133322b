/* For compilers without a C library: the functions are in their run-time library. */
#ifndef BUDGET_MATH_H
#define BUDGET_MATH_H

double ceil(double);
double cos(double);
double exp(double);
double fabs(double);
double floor(double);
double fmax(double, double);
double fmin(double, double);
double log(double);
double round(double);
double sin(double);
double sqrt(double);
double trunc(double);
float ceilf(float);
float cosf(float);
float expf(float);
float fabsf(float);
float floorf(float);
float fmaf(float, float, float);
float fmaxf(float, float);
float fminf(float, float);
float logf(float);
float roundf(float);
float sinf(float);
float sqrtf(float);
float truncf(float);
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")

#endif
