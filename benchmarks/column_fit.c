/* The fit of nrespipe/numerics/column_model.py (_fit with the functions that it calls, and matrices.solve_banded) once more, in C.

   It only serves benchmarks/toolchains.py, which measures what an extension in C would gain. The names are those of the
   Python functions. As there, floats are single where the arrays are, and sums are double. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#define WIDTH 4 /* a trace, and the three above it whose light may overlap with it */

static long least_of(long a, long b) { return a < b ? a : b; }
static long most_of(long a, long b) { return a > b ? a : b; }
static double positive(double x) { return x < 0.0 ? 0.0 : x; }
static double squared(double x) { return x * x; }

static double sum(const float *data, const uint8_t *bad, long n_rows, long first, long window)
{
    double total = 0.0;
    for (long y = first; y < least_of(first + window, n_rows); y++)
        if (!bad[y]) total += data[y];
    return positive(total);
}

static double share_used(const uint8_t *bad, const float *shares, long n_rows, long first, long window)
{
    double share = 0.0;
    for (long j = 0; j < window; j++)
        if (first + j < n_rows && !bad[first + j]) share += shares[j];
    return share;
}

static void model_of(double *restrict model, double *restrict guards, const float *extra, const float *shares,
                     const int32_t *first, const double *solution, const double *guard, long n_rows, long n,
                     long window)
{
    for (long k = 0; k < n; k++)
        if (first[k] >= 0)
            for (long y = first[k]; y < least_of(first[k] + window, n_rows); y++) {
                model[y] = extra[y];
                guards[y] = 0.0;
            }
    for (long k = 0; k < n; k++) {
        if (first[k] < 0) continue;
        double light = positive(solution[k]);
        for (long j = 0; j < least_of(window, n_rows - first[k]); j++) {
            long y = first[k] + j;
            model[y] += light * shares[k * window + j];
            guards[y] += squared(guard[k] * light * shares[k * window + j]);
        }
    }
}

static void noise_of(double *restrict noise, const float *floor, const float *error, const double *restrict model,
                     const int32_t *first, long n_rows, long n, long window)
{
    for (long k = 0; k < n; k++)
        if (first[k] >= 0)
            for (long y = first[k]; y < least_of(first[k] + window, n_rows); y++) {
                double light = positive(model[y]);
                noise[y] = floor[y] + light + squared(error[y] * light);
            }
}

static long outliers(const float *data, uint8_t *bad, const double *model, const double *noise, const double *guards,
                     const int32_t *first, double threshold, long n_rows, long n, long window)
{
    long found = 0;
    for (long k = 0; k < n; k++) {
        if (first[k] < 0) continue;
        double worst = squared(threshold);
        long where = -1, end = least_of(first[k] + window, n_rows);
        for (long y = first[k]; y < end; y++) {
            double square = squared(data[y] - model[y]);
            if (square > worst * noise[y] && !bad[y] && square > worst * (noise[y] + guards[y])) {
                worst = square / (noise[y] + guards[y]);
                where = y;
            }
        }
        if (where < 0) continue;
        bad[where] = 2;
        found++;
        for (long y = most_of(first[k], where - 1); y < least_of(end, where + 2); y++) {
            double residual = data[y] - model[y];
            if (!bad[y] && residual > 0 && squared(residual) > 6.25 * (noise[y] + guards[y])) bad[y] = 2;
        }
    }
    return found;
}

static void normal_equations(double (*restrict bands)[WIDTH], double *restrict right, const float *data,
                             const float *extra, const uint8_t *bad, const double *noise, const float *shares,
                             const int32_t *first, long n_rows, long n, long window)
{
    for (long k = 0; k < n; k++) {
        for (long i = 0; i < WIDTH; i++) bands[k][i] = 0.0;
        right[k] = 0.0;
        if (first[k] < 0) {
            bands[k][0] = 1.0;
            continue;
        }
        long end = least_of(window, n_rows - first[k]);
        for (long j = 0; j < end; j++) {
            long y = first[k] + j;
            if (bad[y]) continue;
            double w = shares[k * window + j] / noise[y];
            right[k] += w * (data[y] - extra[y]);
            bands[k][0] += w * shares[k * window + j];
        }
        for (long i = 1; i < least_of(WIDTH, n - k); i++) {
            long apart = first[k + i] - first[k];
            if (first[k + i] < 0 || apart >= window) continue;
            for (long j = most_of(apart, 0); j < least_of(end, window + apart); j++)
                if (!bad[first[k] + j])
                    bands[k][i] += shares[k * window + j] * shares[(k + i) * window + j - apart] / noise[first[k] + j];
        }
        bands[k][0] = bands[k][0] * (1 + 1e-9) + 1e-12;
    }
}

static void solve(double (*bands)[WIDTH], const double *right, double *solution, double *variance,
                  double (*lower)[WIDTH], double *diagonal, double (*inverse)[WIDTH], long n)
{
    for (long k = 0; k < n; k++) {
        double d = bands[k][0];
        for (long j = 1; j < least_of(WIDTH, k + 1); j++) d -= squared(lower[k - j][j]) * diagonal[k - j];
        diagonal[k] = d;
        for (long i = 1; i < least_of(WIDTH, n - k); i++) {
            double v = bands[k][i];
            for (long j = 1; j < least_of(WIDTH - i, k + 1); j++)
                v -= lower[k - j][j] * lower[k - j][j + i] * diagonal[k - j];
            lower[k][i] = v / d;
        }
        solution[k] = right[k];
    }
    for (long k = 0; k < n; k++)
        for (long i = 1; i < least_of(WIDTH, n - k); i++) solution[k + i] -= lower[k][i] * solution[k];
    for (long k = 0; k < n; k++) solution[k] /= diagonal[k];
    for (long k = n - 1; k >= 0; k--) {
        long width = least_of(WIDTH, n - k);
        for (long i = 1; i < width; i++) solution[k] -= lower[k][i] * solution[k + i];
        for (long i = width - 1; i >= 0; i--) {
            double v = 0.0;
            for (long j = 1; j < width; j++) {
                long low = least_of(i, j), high = most_of(i, j);
                v -= lower[k][j] * (i > 0 ? inverse[k + low][high - low] : inverse[k][j]);
            }
            inverse[k][i] = v + (i == 0 ? 1 / diagonal[k] : 0.0);
        }
        variance[k] = inverse[k][0];
    }
}

/* Fit all columns; return 0, or 1 where there is no memory. The arrays are those of columns.fit, all contiguous. */
int fit(long n_columns, long n_rows, long n, long window, const float *data, const float *floor, const float *error,
        uint8_t *bad, const float *shares, const int32_t *first, const float *extra, const double *guard,
        double threshold, const double *start, long passes, long least, double *flux, double *variance, float *used)
{
    double *work = calloc(3 * n_rows + (4 + 3 * WIDTH) * n, sizeof(double));
    if (!work) return 1;
    double *model = work, *noise = model + n_rows, *guards = noise + n_rows, *right = guards + n_rows;
    double *solution = right + n, *inverse = solution + n, *diagonal = inverse + n;
    double(*bands)[WIDTH] = (double(*)[WIDTH])(diagonal + n), (*lower)[WIDTH] = bands + n, (*band)[WIDTH] = lower + n;
    for (long x = 0; x < n_columns; x++) {
        const float *light = data + x * n_rows, *known = extra + x * n_rows, *portions = shares + x * n * window;
        const int32_t *begin = first + x * n;
        uint8_t *flags = bad + x * n_rows;
        for (long k = 0; k < n; k++) {
            double guess = start[k * n_columns + x];
            solution[k] = 0.0;
            if (begin[k] >= 0) solution[k] = isnan(guess) ? sum(light, flags, n_rows, begin[k], window) : guess;
        }
        for (long attempt = 0; attempt < passes; attempt++) {
            model_of(model, guards, known, portions, begin, solution, guard, n_rows, n, window);
            noise_of(noise, floor + x * n_rows, error + x * n_rows, model, begin, n_rows, n, window);
            if (attempt > 0 && isfinite(threshold)) {
                long found = outliers(light, flags, model, noise, guards, begin, threshold, n_rows, n, window);
                if (found == 0 && attempt >= least) break;
            } else if (attempt >= least)
                break;
            normal_equations(bands, right, light, known, flags, noise, portions, begin, n_rows, n, window);
            solve(bands, right, solution, inverse, lower, diagonal, band, n);
        }
        for (long k = 0; k < n; k++) {
            double share = begin[k] < 0 ? 0.0 : share_used(flags, portions + k * window, n_rows, begin[k], window);
            int lit = (float)share > 0.05;
            used[k * n_columns + x] = share;
            flux[k * n_columns + x] = lit ? solution[k] : NAN;
            variance[k * n_columns + x] = lit ? inverse[k] : NAN;
        }
    }
    free(work);
    return 0;
}
