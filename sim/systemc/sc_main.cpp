// The SystemC library asks every program for this function, which its own main calls. Programs here have a main of
// their own.
#include <systemc>

int sc_main(int /*argc*/, char** /*argv*/) {
  return 0;
}
