"""What tests share: made-up data, stand-ins for servers and hardware, copies of the project to run."""
